import type { Content, Image } from '../content.ts';
import type { Sample } from '../sampling.ts';
import type { Target } from '../target.ts';

/** The sizes and times of a run. */
export interface Scale {
  /** Whether it is to be exact rather than quick. */
  full: boolean;
  /** Tells the content of this run from that of others. */
  run: string;
  /** Seconds of one sample, and of the time before it. */
  seconds: number;
  warmUp: number;
  rounds: number;
  bigBytes: number;
  tags: number;
  repositories: number;
  /** Blobs that one sample pushes. */
  pushes: number;
}

/** What a target was filled with. */
export interface Seed {
  image: Image;
  small: Content;
  big: Content;
  /** Counts what must be new each time. */
  next(): number;
}

export type Kind = 'requests' | 'bytes' | 'time' | 'memory';

/** Units as they are printed; of time and memory, less is better. */
export const UNITS: Record<Kind, string> = {
  requests: 'req/s',
  bytes: 'MB/s',
  time: 'ms',
  memory: 'MiB',
};

export const lessIsBetter = (kind: Kind) => kind === 'time' || kind === 'memory';

export interface Workload {
  id: string;
  title: string;
  kind: Kind;
  run(target: Target, seed: Seed, scale: Scale): Promise<Sample>;
  v1?: boolean;
  /** Its first sample fills the store. */
  heavy?: boolean;
  /** Needs a server that was just started, when the benchmark starts it. */
  fresh?: boolean;
  /** Memory is measured while it runs. */
  memory?: boolean;
  /** It writes: what the one before has left to be written must not be charged to it. */
  writes?: boolean;
  /** At most so many rounds. */
  rounds?(scale: Scale): number;
}

/** The number that a sample is compared by. */
export function scoreOf(kind: Kind, { count, bytes, seconds, peakMib }: Sample): number {
  if (count === 0) return Number.NaN;
  if (kind === 'requests') return count / seconds;
  if (kind === 'bytes') return bytes / seconds / 1e6;
  return kind === 'memory' ? (peakMib ?? Number.NaN) : (seconds / count) * 1000;
}
