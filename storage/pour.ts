import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/**
 * Writes all of a source to a receiver, after `begin`, and ends it. The source is closed whatever happens: newer versions
 * of Node leave it open where the receiver was gone before it began.
 */
export async function pour(
  source: Readable,
  out: Writable,
  begin: () => void = () => {},
): Promise<void> {
  try {
    begin();
    await pipeline(source, out);
  } catch (error) {
    source.destroy();
    throw error;
  }
}
