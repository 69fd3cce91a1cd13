import { closeSync, openSync, write, writeSync } from 'node:fs';

/** Beyond this, lines are dropped and counted rather than kept: a stuck disk must not become a full memory. */
const MAX_BUFFERED = 8 * 1024 * 1024;
const RETRY_MS = 5;

/**
 * Appends lines to a file or to a standard stream, gathered into one write for each turn of the event loop.
 * A failing disk loses lines, never the process.
 */
export class LineWriter {
  readonly #path: string;
  readonly #standard: 1 | 2;
  #descriptor: number;
  #pending: string[] = [];
  #pendingBytes = 0;
  #dropped = 0;
  #busy = false;
  #inFlight: Buffer | undefined;

  /** `path` is a file, or `-` for the standard stream `standard`: 1 is output, 2 errors. Throws when it can't be opened. */
  constructor(path: string, standard: 1 | 2) {
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
    if (!this.#busy) {
      this.#busy = true;
      setImmediate(() => this.#flush());
    }
  }

  /** Writes what is still held, at once; for the end of the process. */
  flushSync(): void {
    const chunks = this.#inFlight === undefined ? [] : [this.#inFlight];
    this.#inFlight = undefined;
    chunks.push(this.#take());
    for (const chunk of chunks) this.#writeAllSync(chunk);
  }

  /** Opens the file again under its name, after a log rotation moved it away. */
  reopen(): void {
    if (this.#path === '-') return;
    this.flushSync();
    const old = this.#descriptor;
    this.#descriptor = this.#open();
    closeSync(old);
  }

  #open(): number {
    return this.#path === '-' ? this.#standard : openSync(this.#path, 'a');
  }

  #take(): Buffer {
    if (this.#dropped > 0) {
      this.#pending.push(
        JSON.stringify({ level: 'error', event: 'log lines lost', count: this.#dropped }),
      );
      this.#dropped = 0;
    }
    const text = this.#pending.length === 0 ? '' : `${this.#pending.join('\n')}\n`;
    this.#pending = [];
    this.#pendingBytes = 0;
    return Buffer.from(text);
  }

  #flush(): void {
    const chunk = this.#inFlight ?? this.#take();
    if (chunk.length === 0) {
      this.#busy = false;
      return;
    }
    this.#inFlight = chunk;
    write(this.#descriptor, chunk, (error, written) => {
      // flushSync may have written it meanwhile.
      if (this.#inFlight === chunk) {
        const rest = error === null ? chunk.subarray(written) : chunk;
        this.#inFlight =
          rest.length === 0 || (error !== null && error.code !== 'EAGAIN') ? undefined : rest;
      }
      if (error?.code === 'EAGAIN') setTimeout(() => this.#flush(), RETRY_MS);
      else this.#flush();
    });
  }

  #writeAllSync(chunk: Buffer): void {
    let at = 0;
    for (let attempts = 0; at < chunk.length && attempts < 1000; attempts++) {
      try {
        at += writeSync(this.#descriptor, chunk, at);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
      }
    }
  }
}
