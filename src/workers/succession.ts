import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, rmSync } from 'node:fs';
import { Server } from 'node:net';
import type { Config } from '../config/config.ts';
import type { ListenAddress } from '../config/scalars.ts';
import type { ProcessLogger } from '../log.ts';

/** Tells a process that its listening socket comes from the one that started it. */
const MARK = 'ISTHMUS_TAKES_OVER';

type FromSuccessor = { type: 'ready' } | { type: 'serving' };
type ToSuccessor = { type: 'socket'; address: ListenAddress };

/** What a successor is given. */
export interface Inheritance {
  server: Server;
  /** Where `server` was told to listen; a successor that is configured otherwise opens its own. */
  configured: ListenAddress;
}

/**
 * USR2 as gunicorn has it (v1.md 4.4): starts the program anew, of whatever version now lies at its path, on the same
 * listening socket. Both serve until one of the two is told to stop; the file with the process ID is the newer's.
 */
export class Succession {
  readonly #log: ProcessLogger;
  readonly #pidFile: string | undefined;
  #successor: ChildProcess | undefined;

  constructor(config: Config, log: ProcessLogger) {
    this.#log = log;
    this.#pidFile = config.workers.pidFile;
  }

  /** Why there can be no successor; undefined when there can. */
  obstacle(config: Config, { configured }: Inheritance): string | undefined {
    if (this.#successor !== undefined) return `there is one already: ${this.#successor.pid}`;
    if (config.storage.driver.kind === 'memory') return 'it would not share storage in memory';
    if (configured.kind === 'unix') return 'a unix socket goes with the process that made it';
    return undefined;
  }

  /**
   * Starts a successor. `onEnd` is called when it is gone, while this process still runs, which then is the only one
   * again.
   */
  start({ server, configured }: Inheritance, onEnd: () => void): void {
    this.#movePidFile(true);
    const [program = '', ...words] = process.argv.slice(1);
    const env = { ...process.env, [MARK]: '1' };
    const successor = fork(program, words, { env });
    this.#successor = successor;
    let serves = false;
    successor.on('error', (error) => this.#log.error('no successor could be started', { error }));
    successor.on('message', (message: FromSuccessor) => {
      if (message.type === 'ready') {
        const socket: ToSuccessor = { type: 'socket', address: configured };
        successor.send(socket, server, () => {});
      } else {
        serves = true;
        this.#log.info('the successor serves; send TERM to this process, or to it to go back', {
          pid: process.pid,
          successor: successor.pid,
        });
        successor.disconnect();
        successor.unref();
      }
    });
    successor.once('exit', (code, signal) => {
      this.#successor = undefined;
      this.#movePidFile(false);
      const outcome = signal ?? `code ${code}`;
      if (serves) this.#log.info('the successor is gone; this process goes on', { outcome });
      else this.#log.error('the successor did not start; this process goes on', { outcome });
      onEnd();
    });
  }

  /** Removes the file with the process ID of this process. */
  dropPidFile(): void {
    if (this.#pidFile === undefined) return;
    rmSync(this.#successor === undefined ? this.#pidFile : `${this.#pidFile}.oldbin`, {
      force: true,
    });
  }

  #movePidFile(aside: boolean): void {
    if (this.#pidFile === undefined) return;
    const old = `${this.#pidFile}.oldbin`;
    try {
      if (aside) renameSync(this.#pidFile, old);
      else renameSync(old, this.#pidFile);
    } catch (error) {
      this.#log.warn('file with the process ID not renamed', { error });
    }
  }
}

/** Whether the parent process is one to take over from, and not just anybody with a channel to this one. */
let takesOver = false;

/** The listening socket of the process before, if it listens where this one is to listen. To be called once. */
export async function inheritedSocket(address: ListenAddress): Promise<Server | undefined> {
  takesOver = process.env[MARK] !== undefined && process.send !== undefined;
  delete process.env[MARK];
  if (!takesOver) return undefined;
  tell({ type: 'ready' });
  const [message, socket] = (await once(process, 'message')) as [ToSuccessor, unknown];
  if (!(socket instanceof Server)) return undefined;
  if (JSON.stringify(message.address) === JSON.stringify(address)) return socket;
  socket.close();
  return undefined;
}

/** Tells the process before that this one serves. */
export function tellPredecessor(): void {
  if (takesOver && process.connected) tell({ type: 'serving' });
}

function tell(message: FromSuccessor): void {
  process.send?.(message, undefined, undefined, () => {});
}
