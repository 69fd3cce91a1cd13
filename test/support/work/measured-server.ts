import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ChildServer } from '../child-server.ts';
import { freePort } from '../free-port.ts';
import { MAIN } from '../isthmus-command.ts';
import type { Question } from './questions.ts';
import type { Work } from './tally.ts';

/** Room for all that a measurement allocates, in MiB: nothing is collected meanwhile. */
const YOUNG_MIB = 256;
/** Measurements that may be spoilt by a collection before it is given up. */
const ATTEMPTS = 5;
/** A server that did nothing for so long rests. */
const REST_MS = 60;
/** One who allocates less than this in that time does nothing but answer questions. */
const CALM_BYTES = 32 * 1024;

/** A registry of one process that was started with a preload and answers its questions. */
class MeasuredServer<Answer> {
  readonly server: ChildServer;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, server: ChildServer) {
    this.#child = child;
    this.server = server;
  }

  static async start<Answer>(
    preload: string,
    nodeOptions: string[],
    storage: string,
    env: Record<string, string>,
  ): Promise<MeasuredServer<Answer>> {
    const port = await freePort();
    const options = [
      ...nodeOptions,
      '--import',
      fileURLToPath(new URL(`${preload}.js`, import.meta.url)),
    ];
    const child = spawn(process.execPath, [...options, MAIN, 'serve'], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        STORAGE_PATH: storage,
        REGISTRY_HOST: '127.0.0.1',
        REGISTRY_PORT: String(port),
        LOGLEVEL: 'warn',
        ...env,
      },
    });
    const server = new ChildServer(child, port);
    await server.ready();
    return new MeasuredServer(child, server);
  }

  async ask(question: Question): Promise<Answer> {
    this.#child.send(question);
    const [answer] = await once(this.#child, 'message');
    return answer as Answer;
  }

  async stop(): Promise<void> {
    this.#child.disconnect();
    await this.server.stop();
  }
}

/** A registry over `storage` whose file calls and copies are counted. The caller stops it. */
export async function startCounted(storage: string, env: Record<string, string> = {}) {
  const measured = await MeasuredServer.start<Work>('count-in-server', [], storage, env);
  return {
    url: measured.server.url,
    port: measured.server.port,
    stop: () => measured.stop(),
    /** All work since the start, once the server rests. */
    async sinceStart(): Promise<Work> {
      await rest(measured);
      return measured.ask('tell');
    },
    /** The work for what `task` does, once the server rests after it. */
    async during(task: () => Promise<unknown>): Promise<Work> {
      await rest(measured);
      await measured.ask('reset');
      await task();
      await rest(measured);
      return measured.ask('tell');
    },
  };
}

async function rest(measured: MeasuredServer<Work>): Promise<void> {
  let before = '';
  for (let since = Date.now(); Date.now() - since < REST_MS; await sleep(20)) {
    const now = JSON.stringify(await measured.ask('tell'));
    if (now !== before) since = Date.now();
    before = now;
  }
}

interface Heap {
  heapBytes: number;
  collections: number;
}

/** Waits until hardly more is allocated than the answers to these questions; gives the last. */
async function calm(measured: MeasuredServer<Heap>): Promise<Heap> {
  for (let last = await measured.ask('tell'); ; ) {
    await sleep(REST_MS);
    const next = await measured.ask('tell');
    if (next.heapBytes - last.heapBytes < CALM_BYTES) return next;
    last = next;
  }
}

/** A registry over `storage` that tells what it allocates. The caller stops it. */
export async function startWeighed(storage: string, env: Record<string, string> = {}) {
  const options = [
    '--expose-gc',
    // It collects when nothing happens for a while.
    '--no-memory-reducer',
    `--max-semi-space-size=${YOUNG_MIB}`,
    `--min-semi-space-size=${YOUNG_MIB}`,
  ];
  const measured = await MeasuredServer.start<Heap>('heap-in-server', options, storage, env);
  return {
    url: measured.server.url,
    port: measured.server.port,
    stop: () => measured.stop(),
    /**
     * Bytes that were allocated on the heap for what `task` does, once the server rests after it. Where some were collected meanwhile, which large buffers bring
     * about as well, it is tried again; throws when that is of no use.
     */
    async allocated(task: () => Promise<unknown>): Promise<number> {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        await calm(measured);
        const before = await measured.ask('reset');
        await task();
        const after = await calm(measured);
        if (after.collections === before.collections) return after.heapBytes - before.heapBytes;
      }
      throw new Error(`there were collections in each of ${ATTEMPTS} measurements`);
    },
  };
}
