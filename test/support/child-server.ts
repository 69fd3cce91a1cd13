import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import { request } from './http-client.ts';

/** The compiled command line of this checkout. */
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** A registry as a process of its own on a port of 127.0.0.1. */
export class ChildServer {
  readonly port: number;
  /** `127.0.0.1:PORT`, as it stands before an image's name. */
  readonly host: string;
  readonly url: string;
  readonly #child: ChildProcess;
  #output = '';

  constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.host = `127.0.0.1:${port}`;
    this.url = `http://${this.host}`;
    child.on('error', (error) => {
      this.#output += error.message;
    });
    for (const stream of [child.stdout, child.stderr]) {
      // Only the end is kept: a server that logs each request of a long test must not fill this process.
      stream?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-64_000);
      });
    }
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the server did not start');
    return this.#child.pid;
  }

  /** The last of what the server wrote to standard output and standard error. */
  get output(): string {
    return this.#output;
  }

  get running(): boolean {
    return (
      this.#child.pid !== undefined &&
      this.#child.exitCode === null &&
      this.#child.signalCode === null
    );
  }

  /** Highest resident memory so far, in bytes (VmHWM of the process). */
  peakMemory(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
    if (kilobytes === undefined) throw new Error('no VmHWM in the status of the process');
    return Number(kilobytes) * 1024;
  }

  /** Ends the server by its own pid and waits until it is gone; SIGKILL follows after 10 s. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.running) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(timer);
  }

  /** Waits until `/v2/` answers at all; throws with the server's output when it ends or takes over 30 s. */
  async ready(): Promise<void> {
    for (const deadline = Date.now() + 30_000; ; ) {
      try {
        await request(`${this.url}/v2/`);
        return;
      } catch (error) {
        if (!this.running || Date.now() > deadline) {
          await this.stop('SIGKILL');
          throw new Error(`the server did not start: ${this.#output}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

/** Starts a program that will listen on `port` of 127.0.0.1 and waits until `/v2/` answers. The caller stops it. */
export async function spawnServer(
  program: string,
  args: string[],
  port: number,
  env: Record<string, string> = {},
): Promise<ChildServer> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const server = new ChildServer(child, port);
  await server.ready();
  return server;
}

export interface IsthmusOptions {
  /** STORAGE_PATH of the server. */
  storage: string;
  /** Further environment variables; they win over those that this file sets. */
  env?: Record<string, string>;
  /** Arguments after `serve`, such as a configuration file. */
  args?: string[];
  /** A port that is free; without it one is found. */
  port?: number;
}

/** `isthmus serve` of this checkout over `storage`. The caller stops it. */
export async function startIsthmus(options: IsthmusOptions): Promise<ChildServer> {
  const { storage, env = {}, args = [], port = await freePort() } = options;
  return spawnServer(process.execPath, [MAIN, 'serve', ...args], port, {
    STORAGE_PATH: storage,
    REGISTRY_HOST: '127.0.0.1',
    REGISTRY_PORT: String(port),
    ...env,
  });
}
