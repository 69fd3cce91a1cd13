/*
 * Loaded into a server before its own code (`node --import`): tells its parent process how many bytes it has on the
 * heap, and how often that was collected. Without collections in between, two answers differ by what was allocated.
 */
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Question, reply } from './questions.ts';

const { NODE_PERFORMANCE_GC_MINOR: MINOR, NODE_PERFORMANCE_GC_MAJOR: MAJOR } = constants;

type Collection = PerformanceEntry & { detail?: { kind?: number } };

let collections = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries() as Collection[]) {
    // Marking, which goes before, frees nothing yet.
    const kind = entry.detail?.kind;
    if (kind === MINOR || kind === MAJOR) collections += 1;
  }
}).observe({ entryTypes: ['gc'] });

process.on('message', async (question: Question) => {
  if (question === 'reset') {
    globalThis.gc?.();
    // The observer hears of it later.
    await sleep(50);
  }
  reply({ heapBytes: process.memoryUsage().heapUsed, collections });
});
process.channel?.unref();
