import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { barChart } from './bar-chart.ts';
import type { Comparison } from './compare.ts';
import type { Growth } from './growth.ts';
import { lineChart } from './line-chart.ts';
import type { Machine } from './machine.ts';
import {
  comparisonTable,
  growthTable,
  machineLine,
  processorTable,
  warningLines,
} from './tables.ts';
import type { Kind } from './workloads/workload.ts';

const HOME = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = join(HOME, 'docs/performance.md');
const CHARTS = join(HOME, 'docs/performance');

const KINDS: [Kind, string][] = [
  ['requests', 'Requests in a second'],
  ['bytes', 'Megabytes in a second'],
  ['time', 'Milliseconds'],
  ['memory', 'Memory'],
];

/** Puts a comparison between its marks in docs/performance.md, and draws its charts. */
export function writeComparison(comparison: Comparison, machine: Machine, how: string): void {
  const { targets, rows } = comparison;
  const charts = KINDS.flatMap(([kind, title]) => {
    const ofKind = rows.filter((row) => row.kind === kind);
    if (ofKind.length === 0) return [];
    return [draw(`compare-${kind}`, title, barChart(kind, targets, ofKind))];
  });
  replaceBlock('comparison', [
    machineLine(machine, how),
    comparisonTable(comparison),
    ...charts,
    processorTable(comparison),
    warningLines(comparison),
  ]);
}

/** Puts each series between its marks. */
export function writeGrowth(growths: readonly Growth[], machine: Machine, how: string): void {
  replaceBlock('growth', [machineLine(machine, how)]);
  for (const growth of growths) {
    const { id, title } = growth.series;
    replaceBlock(id, [draw(`growth-${id}`, title, lineChart(growth)), growthTable(growth)]);
  }
}

/** Gives the line of the page that shows the chart. */
function draw(name: string, title: string, svg: string): string {
  mkdirSync(CHARTS, { recursive: true });
  writeFileSync(join(CHARTS, `${name}.svg`), svg);
  return `![${title}](${relativeTo(PAGE, name)})`;
}

function relativeTo(page: string, name: string): string {
  return join(CHARTS, `${name}.svg`).slice(dirname(page).length + 1);
}

/** Replaces what stands between `<!-- bench:name -->` and `<!-- /bench:name -->`; everything else is written by hand. */
function replaceBlock(name: string, paragraphs: string[]): void {
  const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${begin} … ${end}`);
  const content = paragraphs.filter((paragraph) => paragraph !== '').join('\n\n');
  writeFileSync(PAGE, `${page.slice(0, from + begin.length)}\n${content}\n${page.slice(to)}`);
}
