import type { Growth } from './growth.ts';
import { figure, magnitude } from './numbers.ts';
import { COLOURS, dot, line, picture, text } from './svg.ts';
import { UNITS } from './workloads/workload.ts';

const WIDTH = 760;
const HEIGHT = 320;
const LEFT = 70;
const RIGHT = 20;
const TOP = 60;
const BOTTOM = 48;
const TICKS = 4;

/** Each line over a logarithmic axis of what grows; the other axis begins at 0. */
export function lineChart({ series, rows }: Growth): string {
  const names = [...new Set(rows.flatMap(({ lines }) => Object.keys(lines)))];
  const scores = rows.flatMap(({ lines }) => names.flatMap((name) => lines[name]?.score ?? []));
  const most = niceCeiling(Math.max(...scores, 1));
  const [first = 1, last = 2] = [rows[0]?.x, rows.at(-1)?.x];
  const x = (value: number) =>
    LEFT + (Math.log(value / first) / Math.log(last / first)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
  const parts = [text(12, 20, `${series.title}, ${UNITS[series.kind]}`, { weight: 'bold' })];
  for (let tick = 0; tick <= TICKS; tick += 1) {
    const value = (most * tick) / TICKS;
    const height = y(value);
    const grid: [number, number][] = [
      [LEFT, height],
      [WIDTH - RIGHT, height],
    ];
    parts.push(line(grid, '#ddd', 1));
    parts.push(text(LEFT - 8, y(value) + 4, figure(value), { anchor: 'end' }));
  }
  for (const row of rows) {
    const label = magnitude(row.x, series.axis.startsWith('bytes'));
    parts.push(text(x(row.x), HEIGHT - BOTTOM + 18, label, { anchor: 'middle' }));
  }
  parts.push(text((LEFT + WIDTH) / 2, HEIGHT - 10, series.axis, { anchor: 'middle' }));
  names.forEach((name, at) => {
    const colour = COLOURS[at % COLOURS.length] as string;
    const points = rows.flatMap((row): [number, number][] => {
      const score = row.lines[name]?.score;
      return score === undefined ? [] : [[x(row.x), y(score)]];
    });
    parts.push(line(points, colour), ...points.map(([px, py]) => dot(px, py, colour)));
    parts.push(text(LEFT + at * 220, 42, `● ${name}`, { fill: colour }));
  });
  return picture(WIDTH, HEIGHT, series.title, parts);
}

/** The next of 1, 2, 4 and 10 times a power of ten. */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 10].find((step) => step * power >= value) ?? 10) * power;
}
