import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';

/** What a server does for a request, in calls and bytes; calls count where they touch files of the store. */
export const KINDS = [
  'opens',
  'stats',
  'reads',
  'writes',
  'flushes',
  'renames',
  'links',
  'removals',
  'directories',
  'listings',
  'readBytes',
  'writtenBytes',
  'hashedBytes',
  'copiedBytes',
] as const;

export type Kind = (typeof KINDS)[number];
export type Work = Record<Kind, number>;

const KEY = 'isthmus-test-tally';
const MAX_DESCRIPTORS = 65_536;

interface Shared {
  counts: BigInt64Array;
  /** 1 for each descriptor of a file of the store. */
  descriptors: Uint8Array;
}

/** One tally for all threads of the process. */
const shared = open();

function open(): Shared {
  if (!isMainThread) return getEnvironmentData(KEY) as Shared;
  const made = {
    counts: new BigInt64Array(new SharedArrayBuffer(KINDS.length * 8)),
    descriptors: new Uint8Array(new SharedArrayBuffer(MAX_DESCRIPTORS)),
  };
  setEnvironmentData(KEY, made);
  return made;
}

export function count(kind: Kind, by = 1): void {
  Atomics.add(shared.counts, KINDS.indexOf(kind), BigInt(by));
}

export function read(): Work {
  const entries = KINDS.map((kind, at) => [kind, Number(Atomics.load(shared.counts, at))]);
  return Object.fromEntries(entries) as Work;
}

export function reset(): void {
  shared.counts.fill(0n);
}

/** Notes whether a descriptor that was just opened is one of the store. */
export function note(descriptor: number, ofStore: boolean): void {
  shared.descriptors[descriptor] = ofStore ? 1 : 0;
}

export function isNoted(descriptor: number): boolean {
  return shared.descriptors[descriptor] === 1;
}
