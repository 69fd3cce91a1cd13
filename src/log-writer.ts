import { closeSync, openSync, writeSync } from 'node:fs';

/** Beyond this, lines are dropped and counted rather than kept: a stuck reader must not become a full memory. */
const MAX_BUFFERED = 8 * 1024 * 1024;
const RETRY_MS = 5;
const LAST_ATTEMPTS = 200;

/**
 * Appends lines to a file or to a standard stream, gathered into one write for some milliseconds. The write
 * itself is synchronous: it is a copy into the kernel, and so lines keep their order and none is lost at an exit.
 * A failing disk loses lines, never the process.
 */
export class LineWriter {
  readonly #path: string;
  readonly #delayMs: number;
  readonly #standard: 1 | 2;
  #descriptor: number;
  #pending: string[] = [];
  #pendingBytes = 0;
  #rest: Buffer = Buffer.alloc(0);
  #dropped = 0;
  #scheduled = false;

  /**
   * `path` is a file, or `-` for the standard stream `standard`: 1 is output, 2 errors. Throws when it can't be opened.
   * Lines wait `delayMs` for others, 0 for the turn of the event loop.
   */
  constructor(path: string, standard: 1 | 2, delayMs = 0) {
    this.#delayMs = delayMs;
    this.#path = path;
    this.#standard = standard;
    this.#descriptor = this.#open();
  }

  get descriptor(): number {
    return this.#descriptor;
  }

  /** Takes one line without its end. */
  write(line: string): void {
    if (this.#pendingBytes > MAX_BUFFERED) {
      this.#dropped += 1;
      return;
    }
    this.#pending.push(line);
    this.#pendingBytes += line.length + 1;
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#delayMs === 0) setImmediate(() => this.#flush());
    else setTimeout(() => this.#flush(), this.#delayMs);
  }

  /** Writes what is still held, at once; for the end of the process. */
  flushSync(): void {
    for (let attempts = 0; attempts < LAST_ATTEMPTS && !this.#writeAll(); attempts++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }

  /** Opens the file again under its name, after a log rotation moved it away. Throws when it can't. */
  reopen(): void {
    if (this.#path === '-') return;
    const opened = this.#open();
    this.#writeAll();
    closeSync(this.#descriptor);
    this.#descriptor = opened;
  }

  #open(): number {
    return this.#path === '-' ? this.#standard : openSync(this.#path, 'a');
  }

  #flush(): void {
    this.#scheduled = !this.#writeAll();
    if (this.#scheduled) setTimeout(() => this.#flush(), RETRY_MS);
  }

  /** Gives false when the reader of a pipe is behind, and something is left to be written. */
  #writeAll(): boolean {
    const chunk = Buffer.concat([this.#rest, this.#take()]);
    let at = 0;
    try {
      while (at < chunk.length) at += writeSync(this.#descriptor, chunk, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
        this.#rest = chunk.subarray(at);
        this.#pendingBytes = this.#rest.length;
        return false;
      }
    }
    this.#rest = Buffer.alloc(0);
    return true;
  }

  #take(): Buffer {
    if (this.#dropped > 0) {
      const lost = { level: 'error', event: 'log lines lost', count: this.#dropped };
      this.#pending.push(JSON.stringify(lost));
      this.#dropped = 0;
    }
    const text = this.#pending.length === 0 ? '' : `${this.#pending.join('\n')}\n`;
    this.#pending = [];
    this.#pendingBytes = 0;
    return Buffer.from(text);
  }
}
