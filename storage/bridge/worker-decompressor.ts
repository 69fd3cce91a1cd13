import { Duplex } from 'node:stream';
import { Worker } from 'node:worker_threads';

/** Encodings that node:zlib cannot read on every Node we run on. */
export type WorkerEncoding = 'bzip2' | 'xz' | 'zstd';

/** What the worker is started with. */
export interface WorkerInput {
  encoding: WorkerEncoding;
  /** Two counters, see `INPUT` and `CREDIT`. */
  shared: Int32Array;
}
/** Chunks that were posted to the worker so far; it sleeps on this one. */
export const INPUT = 0;
/** Chunks that the worker may still post before it has to sleep. */
export const CREDIT = 1;

/** From the worker: it took a chunk of input, made one of output, or is done. */
export type WorkerMessage =
  | { kind: 'taken' }
  | { kind: 'output'; chunk: Uint8Array }
  | { kind: 'end' }
  | { kind: 'error'; message: string };

/** Compiled, the file ends in .js; run from source, in .ts. */
const SCRIPT = new URL(
  import.meta.url.endsWith('.ts') ? './decompress-worker.ts' : './decompress-worker.js',
  import.meta.url,
);
const OUTPUT_AHEAD = 4;

/**
 * Decompresses in a worker thread, since a pure-JavaScript decoder would stop the event loop. The worker decodes
 * synchronously and sleeps whenever it has no input or the reader is behind, so at most a few chunks are in flight.
 * The thread starts with the first byte and ends with the stream.
 */
export class WorkerDecompressor extends Duplex {
  readonly #encoding: WorkerEncoding;
  readonly #shared = new Int32Array(new SharedArrayBuffer(8));
  #worker: Worker | undefined;
  #taken: (() => void) | undefined;
  #unread = 0;

  constructor(encoding: WorkerEncoding) {
    super({ readableHighWaterMark: 512 * 1024, writableHighWaterMark: 512 * 1024 });
    this.#encoding = encoding;
    this.#shared[CREDIT] = OUTPUT_AHEAD;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, taken: () => void): void {
    // A copy that is the worker's own: a chunk may be a window into a pool.
    const copy = new Uint8Array(chunk);
    this.#taken = taken;
    this.#post(copy, copy.buffer);
  }

  override _final(done: () => void): void {
    this.#post(null);
    done();
  }

  /** The reader wants more: the worker may post as many chunks again as were read. */
  override _read(): void {
    if (this.#unread === 0) return;
    Atomics.add(this.#shared, CREDIT, this.#unread);
    Atomics.notify(this.#shared, CREDIT);
    this.#unread = 0;
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const worker = this.#worker;
    if (worker === undefined) {
      done(error);
      return;
    }
    worker.removeAllListeners('message');
    worker.terminate().then(
      () => done(error),
      (cause: Error) => done(error ?? cause),
    );
  }

  #post(chunk: Uint8Array | null, ...transfer: ArrayBuffer[]): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(chunk, transfer);
    Atomics.add(this.#shared, INPUT, 1);
    Atomics.notify(this.#shared, INPUT);
  }

  #start(): Worker {
    const workerData: WorkerInput = { encoding: this.#encoding, shared: this.#shared };
    const worker = new Worker(SCRIPT, { workerData, execArgv: [], env: {} });
    worker.on('message', (message: WorkerMessage) => this.#receive(message));
    worker.on('error', (error) => this.destroy(error));
    return worker;
  }

  #receive(message: WorkerMessage): void {
    switch (message.kind) {
      case 'taken': {
        const taken = this.#taken;
        this.#taken = undefined;
        taken?.();
        return;
      }
      case 'output': {
        this.#unread++;
        const { buffer, byteOffset, byteLength } = message.chunk;
        if (this.push(Buffer.from(buffer, byteOffset, byteLength))) this._read();
        return;
      }
      case 'end':
        this.push(null);
        return;
      case 'error':
        this.destroy(new Error(message.message));
    }
  }
}
