import { Worker } from 'node:worker_threads';
import type { GrowthPoint } from './growth-series.ts';
import type { TargetAddress } from './target.ts';
import type { Scale } from './workloads/workload.ts';

export interface LoadSetup {
  scale: Scale;
  targets: TargetAddress[];
  /** Seconds after which a sample is given up. */
  limitSeconds: number;
}

export type Task = { target: string } & (
  | { kind: 'process'; pid: number | undefined }
  | { kind: 'disconnect' }
  | { kind: 'fill'; check: boolean }
  | { kind: 'fill-v1' }
  | { kind: 'run'; workload: string; heavy: boolean }
  | { kind: 'growth'; point: GrowthPoint }
);

export interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

type Waiting = { resolve: (result: unknown) => void; reject: (error: Error) => void };

/** The thread that makes the load, from the side of the one who orders it. */
export class Load {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #count = 0;

  constructor(setup: LoadSetup) {
    this.#worker = new Worker(new URL('./load-worker.js', import.meta.url), { workerData: setup });
    this.#worker.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    this.#worker.on('error', (error) => {
      for (const { reject } of this.#waiting.values()) reject(error);
    });
  }

  /** Has a task done; the caller knows what it gives. */
  do<T>(task: Task): Promise<T> {
    const id = ++this.#count;
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, task });
    }) as Promise<T>;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
