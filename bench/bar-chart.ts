import type { Row } from './compare.ts';
import { figure } from './numbers.ts';
import { COLOURS, picture, rectangle, text } from './svg.ts';
import { type Kind, lessIsBetter, UNITS } from './workloads/workload.ts';

const WIDTH = 840;
const LEFT = 350;
const RIGHT = 90;
const BAR = 11;
const GAP = 12;
const TOP = 56;

/** One group of bars for each workload, each group with a scale of its own: only its targets are compared. */
export function barChart(kind: Kind, targets: readonly string[], rows: readonly Row[]): string {
  const group = targets.length * BAR + GAP;
  const height = TOP + rows.length * group + GAP;
  const better = lessIsBetter(kind) ? 'shorter is better' : 'longer is better';
  const title = `${UNITS[kind]}, ${better}`;
  const parts = [text(12, 20, title, { weight: 'bold' })];
  targets.forEach((name, at) => {
    parts.push(rectangle(12 + at * 170, 30, 10, 10, colourOf(at)));
    parts.push(text(27 + at * 170, 39, name));
  });
  rows.forEach((row, at) => {
    const y = TOP + at * group;
    parts.push(text(LEFT - 10, y + (targets.length * BAR) / 2 + 4, row.title, { anchor: 'end' }));
    const scores = targets.map((name) => row.results[name]?.score ?? 0);
    const most = Math.max(...scores, Number.MIN_VALUE);
    scores.forEach((score, bar) => {
      const width = (score / most) * (WIDTH - LEFT - RIGHT);
      const top = y + bar * BAR;
      parts.push(rectangle(LEFT, top, Math.max(width, 1), BAR - 1, colourOf(bar)));
      parts.push(text(LEFT + width + 5, top + BAR - 2, figure(score || undefined)));
    });
  });
  return picture(WIDTH, height, title, parts);
}

function colourOf(at: number): string {
  return COLOURS[at % COLOURS.length] as string;
}
