/*
 * The thread that makes all load, so that the sampling of memory beside it does not disturb the clock. It is asked by
 * messages, and answers each.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { measureGrowth } from './growth-series.ts';
import type { Answer, LoadSetup, Task } from './load.ts';
import { check, fill, fillV1, seedOf } from './seeding.ts';
import { Target } from './target.ts';
import { WORKLOADS } from './workloads/all.ts';

const V1_ENGINE = 'docker/1.6.0 go/go1.4.2 bench/1';

const { scale, targets: addresses, limitSeconds } = workerData as LoadSetup;
const seed = seedOf(scale.bigBytes);
const targets = new Map(
  addresses.map((address) => [
    address.name,
    { v2: new Target(address), v1: new Target(address, V1_ENGINE) },
  ]),
);

async function work(task: Task): Promise<unknown> {
  const both = targets.get(task.target);
  if (!both) throw new Error(`there is no target ${task.target}`);
  switch (task.kind) {
    case 'process':
      both.v2.pid = task.pid;
      both.v1.pid = task.pid;
      return undefined;
    case 'disconnect':
      both.v2.closeAll();
      both.v1.closeAll();
      return undefined;
    case 'fill':
      await fill(both.v2, seed);
      return task.check ? check(both.v2, seed) : {};
    case 'fill-v1':
      return fillV1(both.v1);
    case 'growth':
      return measureGrowth(both.v2, seed, scale, task.point);
    case 'run': {
      const workload = WORKLOADS.find(({ id }) => id === task.workload);
      if (!workload) throw new Error(`there is no workload ${task.workload}`);
      return workload.run(workload.v1 ? both.v1 : both.v2, seed, scale);
    }
  }
}

async function limited(task: Task): Promise<unknown> {
  const seconds = limitSeconds * (task.kind === 'run' && !task.heavy ? 1 : 6);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`gave up after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work(task), late]);
  } catch (error) {
    targets.get(task.target)?.v2.closeAll();
    targets.get(task.target)?.v1.closeAll();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

parentPort?.on('message', ({ id, task }: { id: number; task: Task }) => {
  const answer = (message: Answer) => parentPort?.postMessage(message);
  limited(task).then(
    (result) => answer({ id, result }),
    (error: Error) => answer({ id, error: error.message }),
  );
});
