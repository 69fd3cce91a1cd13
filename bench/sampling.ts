import { availableParallelism } from 'node:os';
import { cpuOf, machineCpu, treeOf } from './processes.ts';
import type { Target } from './target.ts';

/** What one measurement found. */
export interface Sample {
  /** Operations that were answered. */
  count: number;
  bytes: number;
  seconds: number;
  /** Answers that were not what they should be, and the first of them. */
  wrong: number;
  firstWrong?: string;
  /** Milliseconds: half, 95, 99 and all of 100 operations took no longer. */
  p50?: number;
  p95?: number;
  p99?: number;
  longest?: number;
  /** Seconds of processor time that the server used. */
  cpu?: number;
  /** Seconds of processor time that the load generator used. */
  clientCpu: number;
  /** Part of the machine that other processes used meanwhile. */
  foreign?: number;
  /** Highest resident memory of the server, MiB. */
  peakMib?: number;
  /** The same, a page that several processes share being counted once. */
  sharedMib?: number;
  note?: string;
}

/** What a workload reports of itself; the rest is measured around it. */
export interface Outcome {
  count: number;
  bytes?: number;
  wrong?: number;
  firstWrong?: string | undefined;
  /** Milliseconds of each operation. */
  latencies?: number[];
}

export const now = () => performance.now();

function quantile(sorted: Float64Array, part: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

/** Runs a task and measures what it costs the server. */
export async function measured(target: Target, task: () => Promise<Outcome>): Promise<Sample> {
  const pids = treeOf(target.pid);
  const [machineBefore, own, cpuBefore, start] = [
    machineCpu(),
    process.cpuUsage(),
    cpuOf(pids),
    now(),
  ];
  const outcome = await task();
  const seconds = (now() - start) / 1000;
  const [cpuAfter, used, machineAfter] = [cpuOf(pids), process.cpuUsage(own), machineCpu()];
  const cpu = target.pid === undefined ? undefined : Math.max(0, cpuAfter - cpuBefore);
  const sorted = Float64Array.from(outcome.latencies ?? []).sort();
  const [p50, p95, p99, longest] = [0.5, 0.95, 0.99, 1].map((part) => quantile(sorted, part));
  const clientCpu = (used.user + used.system) / 1e6;
  const sample: Sample = {
    count: outcome.count,
    bytes: outcome.bytes ?? 0,
    seconds,
    wrong: outcome.wrong ?? 0,
    ...(outcome.firstWrong !== undefined && { firstWrong: outcome.firstWrong }),
    ...(p50 !== undefined && { p50 }),
    ...(p95 !== undefined && { p95 }),
    ...(p99 !== undefined && { p99 }),
    ...(longest !== undefined && { longest }),
    ...(cpu !== undefined && { cpu }),
    clientCpu,
  };
  if (cpu === undefined || machineBefore === undefined || machineAfter === undefined) return sample;
  const busy = machineAfter - machineBefore - cpu - clientCpu;
  return { ...sample, foreign: Math.max(0, busy) / (seconds * availableParallelism()) };
}

export interface LoopOptions {
  connections: number;
  seconds: number;
  /** Ends after so many requests, if that is sooner. */
  most?: number;
  /** The bytes of the request with this number. */
  next: (n: number) => Buffer;
  status?: number;
  /** Bytes that each body must have; undefined for any. */
  bodyBytes?: number;
  head?: boolean;
}

/** Each connection sends its next request as soon as the last is answered. */
export function loop(target: Target, options: LoopOptions): Promise<Outcome> {
  const { connections, seconds, most = Number.POSITIVE_INFINITY, next, head = false } = options;
  const { status = 200, bodyBytes } = options;
  const latencies: number[] = [];
  const outcome = { count: 0, bytes: 0, wrong: 0, firstWrong: undefined as string | undefined };
  const end = now() + seconds * 1000;
  let sent = 0;
  let live = connections;
  const fail = (reason: string) => {
    outcome.wrong += 1;
    outcome.firstWrong ??= reason;
  };
  return new Promise((resolve) => {
    const finish = () => {
      live -= 1;
      if (live === 0) resolve({ ...outcome, latencies });
    };
    for (const connection of target.connections(connections)) {
      let start = 0;
      const one = () => {
        start = now();
        if (start >= end || sent >= most) return finish();
        connection.send(next(sent++), { head }, after);
      };
      const after = (error?: Error) => {
        if (error) {
          fail(error.message);
          if (outcome.wrong < 100) setTimeout(one, 1);
          else finish();
          return;
        }
        latencies.push(now() - start);
        outcome.count += 1;
        const { response } = connection;
        outcome.bytes += response.bodyBytes;
        if (
          response.status !== status ||
          (bodyBytes ?? response.bodyBytes) !== response.bodyBytes
        ) {
          fail(`status ${response.status}, ${response.bodyBytes} bytes`);
        }
        if (connection.open) one();
        else setImmediate(one);
      };
      one();
    }
  });
}

/** Runs `count` tasks, each connection one at a time; gives the milliseconds of each. */
export async function pool(
  target: Target,
  connections: number,
  count: number,
  task: (connection: ReturnType<Target['connections']>[number], n: number) => Promise<unknown>,
): Promise<number[]> {
  const latencies: number[] = [];
  let taken = 0;
  await Promise.all(
    target.connections(connections).map(async (connection) => {
      for (let n = taken++; n < count; n = taken++) {
        const start = now();
        await task(connection, n);
        latencies.push(now() - start);
      }
    }),
  );
  return latencies;
}
