import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { extname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { WorkerReport } from '../metrics/worker-board.ts';
import type { Counts, CountTopic } from '../peers.ts';
import type { ProfileRequest } from '../profile.ts';
import type { Target } from './dispatcher.ts';
import type { ToMaster, ToWorker } from './messages.ts';

// Beside this file, and of its kind: bundled, compiled, or TypeScript where Node runs that.
const ENTRY = join(import.meta.dirname, `entry${extname(import.meta.filename)}`);

export interface WorkerEvents {
  ready(worker: WorkerProcess): void;
  accepted(worker: WorkerProcess, id: number): void;
  refused(worker: WorkerProcess, id: number): void;
  closed(worker: WorkerProcess): void;
  recycle(worker: WorkerProcess): void;
  /** All that it ever said has been heard. */
  silent(worker: WorkerProcess): void;
  report(worker: WorkerProcess, report: WorkerReport): void;
  counted(worker: WorkerProcess, topic: CountTopic, counts: Counts): void;
  exit(worker: WorkerProcess): void;
}

/** One worker as the master sees it. */
export class WorkerProcess implements Target {
  readonly started = Date.now();
  /** Settles when the worker serves: true, or when it never will: false. */
  readonly ready: Promise<boolean>;
  /** Why it never served, in its own words. */
  failure: string | undefined;
  /** Whether it was told to go. */
  leaving = false;
  /** What its exit says: `signal SIGKILL`, `code 1`. */
  outcome = '';
  readonly #child: ChildProcess;
  #lastBeat = Date.now();
  #onReport: (() => void) | undefined;
  #onProfile: ((made: { file?: string; failure?: string }) => void) | undefined;

  constructor(config: Config, events: WorkerEvents) {
    this.#child = fork(ENTRY, [], { serialization: 'advanced' });
    this.#tell({ type: 'start', config });
    this.ready = new Promise((resolve) => {
      this.#child.on('message', (message: ToMaster) => {
        this.#lastBeat = Date.now();
        switch (message.type) {
          case 'ready':
            events.ready(this);
            return resolve(true);
          case 'failed':
            this.failure = message.message;
            return resolve(false);
          case 'accepted':
            return events.accepted(this, message.id);
          case 'refused':
            return events.refused(this, message.id);
          case 'closed':
            return events.closed(this);
          case 'recycle':
            return events.recycle(this);
          case 'profiled':
            return this.#onProfile?.(message);
          case 'counts':
            return events.counted(this, message.topic, message.counts);
          case 'report':
            events.report(this, message.report);
            return this.#onReport?.();
          case 'beat':
            return;
        }
      });
      this.#child.on('error', (error) => {
        this.failure ??= error.message;
      });
      this.#child.once('exit', (code, signal) => {
        this.outcome = signal === null ? `code ${code}` : `signal ${signal}`;
        resolve(false);
        events.exit(this);
        this.#whenHeard(() => events.silent(this));
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Milliseconds since it last said anything. */
  get silence(): number {
    return Date.now() - this.#lastBeat;
  }

  send(id: number, socket: Socket): boolean {
    if (!this.#child.connected) return false;
    this.#child.send(
      { type: 'connection', id } satisfies ToWorker,
      socket,
      { keepOpen: true },
      () => {},
    );
    return true;
  }

  drain(seconds: number): void {
    this.leaving = true;
    this.#tell({ type: 'drain', seconds });
  }

  reopenLogs(): void {
    this.#tell({ type: 'reopen' });
  }

  /** Passes on what other workers counted. */
  tellCounts(topic: CountTopic, counts: Counts): void {
    this.#tell({ type: 'counts', topic, counts });
  }

  /** Has the worker report, and waits for that, but not for long: a busy worker's last report is good enough. */
  async askForReport(ms: number): Promise<void> {
    if (!this.#child.connected) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onReport = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#tell({ type: 'report' });
    });
  }

  /** Has the worker profile itself; gives the path of the file, which is the caller's to remove. */
  profile(wanted: ProfileRequest): Promise<string> {
    if (this.#onProfile !== undefined)
      return Promise.reject(new Error('another profile is being made'));
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error('the worker ended before its profile was made'));
      this.#child.once('exit', gone);
      this.#onProfile = ({ file, failure }) => {
        this.#onProfile = undefined;
        this.#child.off('exit', gone);
        if (file === undefined) reject(new Error(failure));
        else resolve(file);
      };
      this.#tell({ type: 'profile', wanted });
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /**
   * Calls back when the channel of a dead worker has been read to its end. Node gives no `disconnect` event while a
   * handle that was sent is unacknowledged, which is just when it matters.
   */
  #whenHeard(callback: () => void): void {
    if (this.#child.connected) setTimeout(() => this.#whenHeard(callback), 5);
    else callback();
  }

  #tell(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }
}
