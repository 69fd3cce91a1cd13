import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** Where `docs` is. */
export const HOME = fileURLToPath(new URL('../..', import.meta.url));

const KINDS: [Kind, string][] = [
  ['requests', 'Requests in a second'],
  ['bytes', 'Megabytes in a second'],
  ['time', 'Milliseconds'],
  ['memory', 'Memory'],
];

/** docs/performance.md below `home`, and the charts that it shows. */
export class Page {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  /** Puts a comparison between its marks, and draws its charts. */
  writeComparison(comparison: Comparison, machine: Machine, how: string): void {
    const { targets, rows } = comparison;
    const charts = KINDS.flatMap(([kind, title]) => {
      const ofKind = rows.filter((row) => row.kind === kind);
      if (ofKind.length === 0) return [];
      return [this.#draw(`compare-${kind}`, title, barChart(kind, targets, ofKind))];
    });
    this.#replaceBlock('comparison', [
      machineLine(machine, how),
      comparisonTable(comparison),
      ...charts,
      processorTable(comparison),
      warningLines(comparison),
    ]);
  }

  /** Puts each series between its marks. */
  writeGrowth(growths: readonly Growth[], machine: Machine, how: string): void {
    this.#replaceBlock('growth', [machineLine(machine, how)]);
    for (const growth of growths) {
      const { id, title } = growth.series;
      const chart = this.#draw(`growth-${id}`, title, lineChart(growth));
      this.#replaceBlock(id, [chart, growthTable(growth)]);
    }
  }

  /** Gives the line of the page that shows the chart. */
  #draw(name: string, title: string, svg: string): string {
    const folder = join(this.#home, 'docs/performance');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.svg`), svg);
    return `![${title}](performance/${name}.svg)`;
  }

  /** Replaces what stands between the marks of a block; everything else is written by hand. Throws where there are none. */
  #replaceBlock(name: string, paragraphs: string[]): void {
    const file = join(this.#home, 'docs/performance.md');
    const [begin, end] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
    const page = readFileSync(file, 'utf8');
    const [from, to] = [page.indexOf(begin), page.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${begin} … ${end}`);
    const content = paragraphs.filter((paragraph) => paragraph !== '').join('\n\n');
    writeFileSync(file, `${page.slice(0, from + begin.length)}\n${content}\n${page.slice(to)}`);
  }
}
