/*
 * Loaded into a server before its own code (`node --import`): tells its parent process how many bytes it has on the
 * heap, and how often that was collected. Without collections in between, two answers differ by what was allocated.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Question, reply } from './questions.ts';

let collections = 0;
new PerformanceObserver((list) => {
  collections += list.getEntries().length;
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
