import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { statusOf } from './probe.ts';
import { now } from './sampling.ts';

const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 5000;

/** A server that the benchmark starts and stops: a command in a process group of its own. */
export class ServerProcess {
  readonly #name: string;
  readonly #command: string;
  readonly #url: string;
  readonly #env: Record<string, string>;
  #child: ChildProcess | undefined;
  #errors = '';

  constructor(name: string, command: string, url: string, env: Record<string, string> = {}) {
    this.#name = name;
    this.#command = /[;&|]|^\s*(exec|cd|env)\s/.test(command) ? command : `exec ${command}`;
    this.#url = url;
    this.#env = env;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it; gives the milliseconds until `path` answered 200 or 401. */
  async start(path: string): Promise<number> {
    if ((await statusOf(this.#url, path)) !== undefined) {
      throw new Error(`${this.#name}: something answers at ${this.#url} already`);
    }
    const begun = now();
    const child = spawn('/bin/sh', ['-c', this.#command], {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...this.#env },
    });
    this.#child = child;
    this.#errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-2000);
    });
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`${this.#name} ended at once: ${this.#errors}`);
      }
      const status = await statusOf(this.#url, path);
      if (status === 200 || status === 401) return now() - begun;
      if (now() - begun > START_LIMIT_MS) {
        await this.stop();
        throw new Error(`${this.#name} did not answer: ${this.#errors}`);
      }
      await sleep(1);
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    const signal = (name: NodeJS.Signals) => {
      try {
        process.kill(-(child.pid as number), name);
      } catch {
        // It has ended by itself.
      }
    };
    signal('SIGTERM');
    const timer = setTimeout(() => signal('SIGKILL'), STOP_LIMIT_MS);
    await gone;
    clearTimeout(timer);
  }
}
