import type { Sample } from './sampling.ts';
import { type Kind, lessIsBetter, scoreOf } from './workloads/workload.ts';

/** All samples of one workload on one target, in one line. */
export interface Summary {
  /** Median over the rounds; undefined when it failed. */
  score?: number;
  /** The best round. */
  best?: number;
  /** Distance of the best to the worst round, as part of the median. */
  spread?: number;
  /** Microseconds of the server's processor time for each operation. */
  cpuMicros?: number;
  p99?: number;
  /** Processors that were busy with serving, and with making the load. */
  serverCores?: number;
  clientCores?: number;
  /** Part of the machine that others used, median. */
  foreign?: number;
  failure?: string;
  notes: string[];
  /** What all this was made of, round by round. */
  samples?: readonly Sample[];
}

const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0);

function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle];
  const [low, high] = [sorted[middle - 1], sorted[middle]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}

const definite = (values: (number | undefined)[]) =>
  values.filter((value): value is number => value !== undefined && !Number.isNaN(value));

export function summarize(kind: Kind, samples: readonly Sample[], failure?: string): Summary {
  const scores = definite(samples.map((sample) => scoreOf(kind, sample)));
  const score = median(scores);
  const count = sum(samples.map((sample) => sample.count));
  const seconds = sum(samples.map((sample) => sample.seconds));
  const clientCpu = sum(samples.map((sample) => sample.clientCpu));
  const cpu = definite(samples.map((sample) => sample.cpu));
  const p99 = median(definite(samples.map((sample) => sample.p99)));
  const foreign = median(definite(samples.map((sample) => sample.foreign)));
  const notes = new Set(samples.flatMap(({ note }) => note ?? []));
  for (const { wrong, firstWrong } of samples) {
    if (wrong > 0) notes.add(`${wrong} wrong answers: ${firstWrong}`);
  }
  return {
    ...(score !== undefined && {
      score,
      best: lessIsBetter(kind) ? Math.min(...scores) : Math.max(...scores),
      spread: (Math.max(...scores) - Math.min(...scores)) / score,
    }),
    ...(cpu.length > 0 && {
      cpuMicros: (sum(cpu) / count) * 1e6,
      serverCores: sum(cpu) / seconds,
    }),
    ...(clientCpu > 0 && { clientCores: clientCpu / seconds }),
    ...(p99 !== undefined && { p99 }),
    ...(foreign !== undefined && { foreign }),
    ...(failure !== undefined && { failure }),
    notes: [...notes],
    samples,
  };
}

/** How many times as good as `base`; above 1 is better, also where less is better. */
export function ratio(kind: Kind, { score }: Summary, base: Summary | undefined) {
  if (score === undefined || base?.score === undefined) return undefined;
  return lessIsBetter(kind) ? base.score / score : score / base.score;
}
