import type { Readable } from 'node:stream';
import { type Duplex, pipeline, Transform } from 'node:stream';
import { createGunzip, type ZlibOptions } from 'node:zlib';
import { WorkerDecompressor } from './worker-decompressor.ts';

export type LayerEncoding = 'gzip' | 'none' | 'bzip2' | 'xz' | 'zstd';

/** As many bytes of a blob as `sniffEncoding` looks at. */
export const SNIFF_LENGTH = 6;

/** 64 GiB: more than any layer, less than a decompression bomb can make (bridge.md 2.1). */
export const DEFAULT_MAX_LAYER_BYTES = 64 * 2 ** 30;

/** The encoding that a blob's first bytes tell, as docker sniffs it (2.1). */
export function sniffEncoding(head: Uint8Array): LayerEncoding {
  const starts = (...magic: number[]) => magic.every((byte, at) => head[at] === byte);
  if (starts(0x1f, 0x8b, 0x08)) return 'gzip';
  if (starts(0x42, 0x5a, 0x68)) return 'bzip2';
  if (starts(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return 'xz';
  if (starts(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  const skippable = ((head[0] ?? 0) & 0xf0) === 0x50;
  return skippable && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18 ? 'zstd' : 'none';
}

/** A stream that takes the blob and gives the tar; it fails on anything malformed or cut short. */
export function createDecompressor(encoding: Exclude<LayerEncoding, 'none'>): Duplex {
  if (encoding !== 'gzip') return new WorkerDecompressor(encoding);
  // Few large steps: each one is a trip to the thread pool and back.
  const options: ZlibOptions & { highWaterMark: number } = {
    chunkSize: 256 * 1024,
    highWaterMark: 512 * 1024,
  };
  return createGunzip(options);
}

export interface DecompressOptions {
  /** Most bytes that come out; one more is an error. Default 64 GiB. */
  maxBytes?: number;
}

/**
 * The plain tar of a blob, for sending (3.4). Errors of the source, malformed content and too much of it end the
 * stream with an error; destroying it destroys the source.
 */
export function decompressed(
  source: Readable,
  encoding: LayerEncoding,
  options: DecompressOptions = {},
): Readable {
  const limit = new ByteLimit(options.maxBytes ?? DEFAULT_MAX_LAYER_BYTES);
  // The last stream carries the error to the reader; pipeline has destroyed the others by then.
  const done = () => {};
  return encoding === 'none'
    ? pipeline(source, limit, done)
    : pipeline(source, createDecompressor(encoding), limit, done);
}

class ByteLimit extends Transform {
  #left: number;

  constructor(maxBytes: number) {
    super();
    this.#left = maxBytes;
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error: Error | null, chunk?: Buffer) => void,
  ): void {
    this.#left -= chunk.length;
    if (this.#left < 0) done(new Error('the layer is larger than allowed when decompressed'));
    else done(null, chunk);
  }
}
