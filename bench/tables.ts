import type { Comparison, Row } from './compare.ts';
import type { Growth } from './growth.ts';
import type { Machine } from './machine.ts';
import { figure, magnitude } from './numbers.ts';
import { ratio } from './summary.ts';
import { lessIsBetter, UNITS } from './workloads/workload.ts';

/** More of the machine than this used by others makes absolute figures doubtful. */
const NOISY = 0.15;
/** A load generator that is this busy, with a server that is not, is what was measured. */
const BUSY_CORES = 0.92;
const IDLE_CORES = 0.8;

function table(head: string[], rows: string[][]): string {
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

export function machineLine(machine: Machine, how: string): string {
  const { processor, cores, memoryGib, kernel, fileSystem, node, isthmus, date } = machine;
  return `${date} · Isthmus ${isthmus} on Node ${node} · ${cores} × ${processor}, ${memoryGib} GiB, ${kernel}, ${fileSystem} · ${how}`;
}

/** Every workload, each target's figure, and ours in all variants against the best of the others, or the one chosen. */
export function comparisonTable({ targets, ours, base, rows }: Comparison): string {
  const peers = base === undefined ? targets.filter((name) => !ours.includes(name)) : [base];
  const compared = peers.length > 0 ? ours : [];
  const by = base ?? 'best';
  const ratios = compared.map((name) => `${compared.length > 1 ? name : 'ours'} ÷ ${by}`);
  const lines = rows.map((row) => {
    const { id, title, kind, results } = row;
    return [
      `${title} (\`${id}\`)`,
      UNITS[kind],
      ...targets.map((name) => figure(results[name]?.score)),
      ...compared.map((name) => figure(timesAsGood(row, name, peers))),
    ];
  });
  return table(['workload', 'unit', ...targets, ...ratios], lines);
}

function timesAsGood({ kind, results }: Row, name: string, peers: readonly string[]) {
  const scored = peers.flatMap((peer) => results[peer]?.score ?? []);
  const ours = results[name];
  if (!ours || scored.length === 0) return undefined;
  const best = lessIsBetter(kind) ? Math.min(...scored) : Math.max(...scored);
  return ratio(kind, ours, { score: best, notes: [] });
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
  const lines = [...warnings, ...rows.flatMap(loadLimits)];
  if (noisy > 0) {
    lines.push(
      `${noisy} of ${foreign.length} figures were taken while others used more than ${NOISY * 100} % of the machine: trust ratios and processor time more than speeds`,
    );
  }
  return lines.map((line) => `- ${line}`).join('\n');
}

function loadLimits({ id, results }: Row): string[] {
  return Object.entries(results).flatMap(([name, { score, clientCores = 0, serverCores = 1 }]) => {
    const limits = clientCores > BUSY_CORES && serverCores < IDLE_CORES;
    if (score === undefined || !limits) return [];
    const busy = `${clientCores.toFixed(2)} processors, the server ${serverCores.toFixed(2)}`;
    return [`${id} of ${name}: the load generator may be the limit (it used ${busy})`];
  });
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
