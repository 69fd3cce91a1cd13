import * as fs from 'node:fs';
import type { Writable } from 'node:stream';
import type { ByteRange } from '../driver.ts';

/** Larger steps lose to the processor's cache, smaller ones to the number of calls. */
const STEP_BYTES = 512 * 1024;
/** Buffers that wait for the next file; more are left to the garbage collector. */
const MAX_POOLED = 64;

const pool: Buffer[] = [];

/**
 * Writes part of an open file to a stream, and gives when all of it was handed to the system. Two buffers take
 * turns: one is being read into while the other is being written. Ends early, with an error, when the stream does.
 */
export function sendFile(fd: number, range: ByteRange, out: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    let next = range.start;
    let active = 0;
    let failure: unknown;
    const finished = () => {
      if (active > 0) return;
      out.off('close', onClose);
      if (failure === undefined) resolve();
      else reject(failure);
    };
    const stop = (buffer: Buffer, error?: unknown) => {
      if (error) failure ??= error;
      active -= 1;
      if (pool.length < MAX_POOLED) pool.push(buffer);
      finished();
    };
    const step = (buffer: Buffer): void => {
      const length = Math.min(STEP_BYTES, range.end + 1 - next);
      if (length <= 0 || failure !== undefined) {
        stop(buffer);
        return;
      }
      const position = next;
      next += length;
      read(fd, buffer, length, position, (error) => {
        if (error || failure !== undefined) return stop(buffer, error);
        inOrder(position, buffer.subarray(0, length), buffer);
      });
    };
    // Reads may finish out of turn; bytes must not.
    let sent = range.start;
    let early: { position: number; bytes: Buffer; buffer: Buffer } | undefined;
    const inOrder = (position: number, bytes: Buffer, buffer: Buffer): void => {
      if (position !== sent) {
        early = { position, bytes, buffer };
        return;
      }
      sent += bytes.length;
      out.write(bytes, (error) => (error ? stop(buffer, error) : step(buffer)));
      if (early && early.position === sent) {
        const waiting = early;
        early = undefined;
        inOrder(waiting.position, waiting.bytes, waiting.buffer);
      }
    };
    const onClose = () => {
      failure ??= new Error('the receiver went away');
      if (early) {
        const { buffer } = early;
        early = undefined;
        stop(buffer);
      }
    };
    out.once('close', onClose);
    const lanes = range.end - range.start >= STEP_BYTES ? 2 : 1;
    active = lanes;
    for (let lane = 0; lane < lanes; lane += 1) {
      step(pool.pop() ?? Buffer.allocUnsafeSlow(STEP_BYTES));
    }
  });
}

function read(
  fd: number,
  buffer: Buffer,
  length: number,
  position: number,
  done: (error?: unknown) => void,
): void {
  let filled = 0;
  const more = () => {
    fs.read(fd, buffer, filled, length - filled, position + filled, (error, count) => {
      if (error) return done(error);
      if (count === 0) return done(new Error('the file is shorter than it was'));
      filled += count;
      if (filled < length) return more();
      done();
    });
  };
  more();
}
