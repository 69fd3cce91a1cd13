import { type Comparison, OURS } from './compare.ts';
import type { Growth } from './growth.ts';
import type { Machine } from './machine.ts';
import { figure, magnitude } from './numbers.ts';
import { ratio } from './summary.ts';
import { lessIsBetter, UNITS } from './workloads/workload.ts';

/** More of the machine than this used by others makes absolute figures doubtful. */
const NOISY = 0.15;

function table(head: string[], rows: string[][]): string {
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

export function machineLine(machine: Machine, how: string): string {
  const { processor, cores, memoryGib, kernel, fileSystem, node, isthmus, date } = machine;
  return `${date} · Isthmus ${isthmus} on Node ${node} · ${cores} × ${processor}, ${memoryGib} GiB, ${kernel}, ${fileSystem} · ${how}`;
}

/** Every workload, each target's figure, and ours against the best of the others. */
export function comparisonTable({ targets, rows }: Comparison): string {
  const peers = targets.filter((name) => name !== OURS);
  const head = ['workload', 'unit', ...targets, ...(peers.length > 0 ? ['ours ÷ best'] : [])];
  const lines = rows.map(({ id, title, kind, results }) => {
    const scored = peers.flatMap((name) => results[name]?.score ?? []);
    const best = lessIsBetter(kind) ? Math.min(...scored) : Math.max(...scored);
    const ours = results[OURS];
    const times =
      ours && scored.length > 0 ? ratio(kind, ours, { score: best, notes: [] }) : undefined;
    return [
      `${title} (\`${id}\`)`,
      UNITS[kind],
      ...targets.map((name) => figure(results[name]?.score)),
      ...(peers.length > 0 ? [figure(times)] : []),
    ];
  });
  return table([...head], lines);
}

/** The server's processor time for each operation, where it says more than the clock. */
export function processorTable({ targets, rows }: Comparison): string {
  const small = rows.filter(({ kind }) => kind === 'requests');
  const head = ['µs of processor time a request', ...targets];
  const lines = small.map(({ title, results }) => [
    title,
    ...targets.map((name) => figure(results[name]?.cpuMicros)),
  ]);
  return table(head, lines);
}

export function warningLines({ rows, warnings }: Comparison): string {
  const foreign = rows.flatMap(({ results }) =>
    Object.values(results).flatMap((result) => result.foreign ?? []),
  );
  const noisy = foreign.filter((part) => part > NOISY).length;
  const lines =
    noisy === 0
      ? warnings
      : [
          ...warnings,
          `${noisy} of ${foreign.length} figures were taken while others used more than ${NOISY * 100} % of the machine: trust ratios and processor time more than speeds`,
        ];
  return lines.map((line) => `- ${line}`).join('\n');
}

export function growthTable({ series, rows }: Growth): string {
  const names = [...new Set(rows.flatMap(({ lines }) => Object.keys(lines)))];
  const unit = UNITS[series.kind];
  const head = [
    series.axis,
    ...names.flatMap((name) => [`${name}, ${unit}`, 'µs of processor', 'p99 ms']),
    'memory, MiB',
  ];
  const lines = rows.map(({ x, lines, memoryMib }) => [
    magnitude(x, series.axis.startsWith('bytes')),
    ...names.flatMap((name) => {
      const { score, cpuMicros, p99 } = lines[name] ?? { notes: [] };
      return [figure(score), figure(cpuMicros), figure(p99)];
    }),
    figure(memoryMib),
  ]);
  return table(head, lines);
}
