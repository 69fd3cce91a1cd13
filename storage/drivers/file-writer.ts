import * as fs from 'node:fs';
import type { Readable } from 'node:stream';
import type { Tap } from '../driver.ts';
import { flushData } from './flush.ts';

/** Written at once when this much has gathered: fewer, larger writes. */
const BATCH_BYTES = 512 * 1024;
/** The source is held back while more than this waits to be written. */
const HIGH_WATER_BYTES = 2 * 1024 * 1024;

/** So much is brought to the disk at a time while more comes, so that little is left to wait for at the end. Bytes. */
const FLUSH_BYTES = 32 * 1024 * 1024;

/** What was written did not reach the disk, and the system has given it up. */
export class FlushError extends Error {
  constructor(cause: unknown) {
    super('what was written did not reach the disk', { cause });
  }
}

/**
 * Writes a stream to the end of an open file and gives the number of bytes. Works on events instead of async
 * iteration: one promise for each chunk would cost more than the write. What arrived before the source failed is
 * written before the error is thrown. With `flushing` much of it is flushed meanwhile; throws FlushError.
 */
export function collect(
  source: Readable,
  fd: number,
  tap: Tap | undefined,
  flushing: boolean,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let waiting: Buffer[] = [];
    let waitingBytes = 0;
    let writing = false;
    let written = 0;
    let flushed = 0;
    let onItsWay = false;
    let ended = false;
    let holds = 0;
    let failure: unknown;

    const settle = () => {
      if (!ended || writing || waitingBytes > 0 || holds > 0 || onItsWay) return;
      detach();
      if (failure === undefined) resolve(written);
      else reject(failure);
    };
    const fail = (error: unknown) => {
      failure ??= error;
      ended = true;
      source.off('data', onData);
      if (!source.destroyed) source.resume();
      flush();
      settle();
    };
    const flow = () => {
      if (!ended && holds === 0 && waitingBytes < HIGH_WATER_BYTES) source.resume();
    };
    const flush = () => {
      if (writing || waitingBytes === 0) return;
      const batch = waiting;
      const bytes = waitingBytes;
      waiting = [];
      waitingBytes = 0;
      writing = true;
      writeAll(fd, batch, bytes, (error) => {
        writing = false;
        if (error) return fail(error);
        written += bytes;
        if (flushing && written - flushed >= FLUSH_BYTES) bringToDisk();
        if (waitingBytes >= BATCH_BYTES || ended) flush();
        flow();
        settle();
      });
    };
    const bringToDisk = () => {
      if (onItsWay) return;
      onItsWay = true;
      flushed = written;
      flushData(fd).then(
        () => {
          onItsWay = false;
          settle();
        },
        (error: unknown) => {
          onItsWay = false;
          // Graver than whatever else went wrong.
          failure = new FlushError(error);
          fail(failure);
        },
      );
    };
    const onData = (chunk: Buffer) => {
      waiting.push(chunk);
      waitingBytes += chunk.length;
      try {
        const hold = tap?.(chunk);
        if (hold) {
          holds += 1;
          source.pause();
          hold.then(
            () => {
              holds -= 1;
              flow();
              settle();
            },
            (error: unknown) => {
              holds -= 1;
              fail(error);
            },
          );
        }
      } catch (error) {
        return fail(error);
      }
      if (waitingBytes >= BATCH_BYTES) flush();
      if (waitingBytes >= HIGH_WATER_BYTES) source.pause();
    };
    const onEnd = () => {
      ended = true;
      flush();
      settle();
    };
    const onClose = () => {
      if (!ended) fail(new Error('the stream ended before it was complete'));
    };
    const detach = () => {
      source.off('data', onData).off('end', onEnd).off('close', onClose);
    };
    source.on('error', fail).on('end', onEnd).on('close', onClose).on('data', onData);
    if (source.errored) fail(source.errored);
    else if (source.destroyed) onClose();
  });
}

function writeAll(
  fd: number,
  batch: Buffer[],
  bytes: number,
  done: (error: unknown) => void,
): void {
  fs.writev(fd, batch, (error, count) => {
    if (error) return done(error);
    if (count === bytes) return done(undefined);
    const rest = Buffer.concat(batch, bytes).subarray(count);
    writeAll(fd, [rest], rest.length, done);
  });
}
