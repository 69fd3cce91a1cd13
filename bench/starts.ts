import { setTimeout as sleep } from 'node:timers/promises';
import type { Contender } from './contenders.ts';
import { residentMib, sharedMib, treeOf } from './processes.ts';
import type { Sample } from './sampling.ts';

const SETTLE_MS = 300;

/** What is measured of starts: empty stores before all else, full ones after it. */
export const STARTS = {
  cold: { id: 'w8.cold', title: 'start to the first answer', kind: 'time' },
  idle: { id: 'w8.idle', title: 'memory after the start', kind: 'memory' },
  coldFull: {
    id: 'w8.cold-full',
    title: 'start to the first manifest, over a full store',
    kind: 'time',
  },
} as const;

export interface Starts {
  /** Milliseconds to the first answer, and memory a moment later, by name. */
  times: Map<string, Sample[]>;
  memory: Map<string, Sample[]>;
}

/** Starts all that can be started, in turn, until each answers `path`; those of the last round stay up. */
export async function measureStarts(
  contenders: readonly Contender[],
  rounds: number,
  path: string,
): Promise<Starts> {
  const times = new Map<string, Sample[]>();
  const memory = new Map<string, Sample[]>();
  for (let round = 1; round <= rounds; round += 1) {
    for (const contender of contenders) {
      const { name, process } = contender;
      if (!process) continue;
      const seconds = (await process.start(path)) / 1000;
      contender.pid = process.pid;
      await sleep(SETTLE_MS);
      const tree = treeOf(process.pid);
      const sample = { count: 1, bytes: 0, seconds, wrong: 0, clientCpu: 0 };
      const taken = { peakMib: residentMib(tree), sharedMib: sharedMib(tree) };
      times.set(name, [...(times.get(name) ?? []), sample]);
      memory.set(name, [...(memory.get(name) ?? []), { ...sample, ...taken }]);
      if (round < rounds) await process.stop();
    }
  }
  return { times, memory };
}
