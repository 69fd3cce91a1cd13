import * as fs from 'node:fs';
import type { Writable } from 'node:stream';
import type { ByteRange } from '../driver.ts';
import type { WarmFiles } from './warm-files.ts';

/** Larger steps lose to the processor's cache, smaller ones to the number of calls. */
export const STEP_BYTES = 512 * 1024;
/** What is left goes with the last step if it is no more than this: an archive is seldom a round number of bytes. */
const TAIL_BYTES = 64 * 1024;
/** Buffers that wait for the next file; more are left to the garbage collector. */
const MAX_POOLED = 64;

const pool: Buffer[] = [];

interface Step {
  position: number;
  length: number;
  buffer: Buffer;
}

/**
 * Writes part of an open file to a stream, and gives when all of it was handed to the system. What was read lately is
 * read at once, since it lies in memory; else two buffers take turns: one is being read into while the other is being
 * written. Ends early, with an error, when the stream does.
 */
export function sendFile(
  fd: number,
  range: ByteRange,
  out: Writable,
  warm: WarmFiles,
  path: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    new FileSender(fd, range, out, warm, path, (error) => {
      if (error === undefined) resolve();
      else reject(error);
    }).start();
  });
}

class FileSender {
  readonly #fd: number;
  readonly #end: number;
  readonly #out: Writable;
  readonly #warm: WarmFiles;
  readonly #path: string;
  readonly #done: (error: unknown) => void;
  #next: number;
  #sent: number;
  #active = 0;
  #failure: unknown;
  /** Reads may finish out of turn; bytes must not. */
  #early: Step | undefined;

  constructor(
    fd: number,
    { start, end }: ByteRange,
    out: Writable,
    warm: WarmFiles,
    path: string,
    done: (error: unknown) => void,
  ) {
    this.#fd = fd;
    this.#next = start;
    this.#sent = start;
    this.#end = end + 1;
    this.#out = out;
    this.#warm = warm;
    this.#path = path;
    this.#done = done;
  }

  start(): void {
    this.#out.once('close', this.#onClose);
    this.#addLane();
  }

  readonly #onClose = (): void => {
    this.#failure ??= new Error('the receiver went away');
    const early = this.#early;
    this.#early = undefined;
    if (early) this.#stop(early.buffer);
  };

  #addLane(): void {
    this.#active += 1;
    this.#step(pool.pop() ?? Buffer.allocUnsafeSlow(STEP_BYTES + TAIL_BYTES));
  }

  #stop(buffer: Buffer, error?: unknown): void {
    if (error) this.#failure ??= error;
    this.#active -= 1;
    if (pool.length < MAX_POOLED) pool.push(buffer);
    if (this.#active > 0) return;
    this.#out.off('close', this.#onClose);
    this.#done(this.#failure);
  }

  #step(buffer: Buffer): void {
    const position = this.#next;
    if (position >= this.#end || this.#failure !== undefined) {
      this.#stop(buffer);
      return;
    }
    const left = this.#end - position;
    const whole = STEP_BYTES - (position % STEP_BYTES);
    const length = left <= whole + TAIL_BYTES ? left : whole;
    this.#next += length;
    const step = { position, length, buffer };
    if (this.#warm.has(this.#path, position / STEP_BYTES)) this.#readAtOnce(step);
    else {
      this.#read(step, 0);
      if (this.#active === 1 && this.#next < this.#end) this.#addLane();
    }
  }

  #readAtOnce(step: Step): void {
    const { position, length, buffer } = step;
    try {
      for (let filled = 0; filled < length; ) {
        const count = fs.readSync(this.#fd, buffer, filled, length - filled, position + filled);
        if (count === 0) throw tooShort();
        filled += count;
      }
    } catch (error) {
      this.#stop(buffer, error);
      return;
    }
    this.#inOrder(step);
  }

  #read(step: Step, filled: number): void {
    const { position, length, buffer } = step;
    fs.read(this.#fd, buffer, filled, length - filled, position + filled, (error, count) => {
      if (error || this.#failure !== undefined) return this.#stop(buffer, error);
      if (count === 0) return this.#stop(buffer, tooShort());
      if (filled + count < length) return this.#read(step, filled + count);
      this.#warm.add(this.#path, position / STEP_BYTES);
      this.#inOrder(step);
    });
  }

  #inOrder(step: Step): void {
    const { position, length, buffer } = step;
    if (position !== this.#sent) {
      this.#early = step;
      return;
    }
    this.#sent += length;
    this.#out.write(buffer.subarray(0, length), (error) => {
      if (error) this.#stop(buffer, error);
      else this.#step(buffer);
    });
    const early = this.#early;
    if (early?.position !== this.#sent) return;
    this.#early = undefined;
    this.#inOrder(early);
  }
}

function tooShort(): Error {
  return new Error('the file is shorter than it was');
}
