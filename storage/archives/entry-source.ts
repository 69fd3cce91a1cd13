import { createReadStream } from 'node:fs';
import { opendir, readlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { PassThrough, pipeline, Readable, Transform } from 'node:stream';
import { extract } from 'tar-stream';
import { createDecompressor, SNIFF_LENGTH, sniffEncoding } from '../bridge/layer-encoding.ts';
import { storageError } from '../errors.ts';
import { entryName, linkTarget } from './entry-names.ts';

/** One entry of an archive. Files must be read to their end before the next entry is asked for. */
export type ArchiveEntry =
  | { kind: 'file'; name: string; body: Readable }
  | { kind: 'link'; name: string; target: string };

/** Bounds on what an archive may unpack to. */
export interface ArchiveLimits {
  /** Bytes in all, once the archive's own compression is undone. */
  maxBytes: number;
  /** Bytes for each byte that came in, beyond the first MiB; undefined for no limit. */
  maxRatio?: number;
}

const RATIO_FLOOR = 2 ** 20;

/** The entries of a tar, plain or compressed in any way that layers may be. */
export async function* tarEntries(
  source: Readable,
  limits: ArchiveLimits,
): AsyncGenerator<ArchiveEntry> {
  const archive = extract();
  const plain = await unpacked(source, limits);
  // Errors of the source end the iteration below; destroying that ends the source.
  pipeline(plain, archive, () => undefined);
  let empty = true;
  try {
    for await (const entry of archive) {
      empty = false;
      const { name: raw, type, linkname } = entry.header;
      const name = entryName(raw);
      if (type === 'file' || type === 'contiguous-file') {
        const body = Readable.from(contentOf(entry), { objectMode: false });
        yield { kind: 'file', name, body };
      } else if (type === 'symlink' || type === 'link') {
        const kind = type === 'link' ? 'hard' : 'symbolic';
        yield { kind: 'link', name, target: linkTarget(name, kind, linkname ?? '') };
      }
      entry.resume();
    }
  } catch (error) {
    throw asArchiveError(error);
  }
  if (empty) throw storageError('IMAGE_INVALID', 'this is no archive of images: it is empty');
}

/** The files below a directory, as an archive of it would have them. */
export async function* directoryEntries(root: string): AsyncGenerator<ArchiveEntry> {
  yield* walk(root, root);
}

async function* walk(root: string, at: string): AsyncGenerator<ArchiveEntry> {
  for await (const child of await opendir(at)) {
    const path = join(at, child.name);
    const name = entryName(relative(root, path));
    if (child.isDirectory()) yield* walk(root, path);
    else if (child.isFile()) yield { kind: 'file', name, body: createReadStream(path) };
    else if (child.isSymbolicLink()) {
      yield { kind: 'link', name, target: linkTarget(name, 'symbolic', await readlink(path)) };
    }
  }
}

/** The plain tar of a stream that may be compressed. */
async function unpacked(source: Readable, limits: ArchiveLimits): Promise<Readable> {
  const { head, rest } = await peek(source, SNIFF_LENGTH);
  const encoding = sniffEncoding(head);
  let taken = 0;
  const counter = new PassThrough();
  counter.on('data', (chunk: Buffer) => {
    taken += chunk.length;
  });
  const guard = limitedBy(limits, () => taken);
  const done = () => undefined;
  if (encoding === 'none') return pipeline(rest, counter, guard, done);
  return pipeline(rest, counter, createDecompressor(encoding), guard, done);
}

function limitedBy({ maxBytes, maxRatio }: ArchiveLimits, taken: () => number): Transform {
  let given = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      given += chunk.length;
      const excess =
        given > maxBytes ||
        (maxRatio !== undefined && given > RATIO_FLOOR && given > maxRatio * taken());
      if (!excess) return done(null, chunk);
      const what = given > maxBytes ? `${maxBytes} bytes` : `${maxRatio} times its size`;
      done(storageError('TOO_LARGE', `the archive unpacks to more than ${what}`));
    },
  });
}

/** The first bytes of a stream, and a stream that has them all. */
async function peek(source: Readable, bytes: number): Promise<{ head: Buffer; rest: Readable }> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < bytes) {
    const { value, done } = (await iterator.next()) as IteratorResult<Buffer>;
    if (done) break;
    chunks.push(value);
    size += value.length;
  }
  const head = Buffer.concat(chunks);
  const all = async function* () {
    if (head.length > 0) yield head;
    yield* { [Symbol.asyncIterator]: () => iterator } as AsyncIterable<Buffer>;
  };
  return { head, rest: Readable.from(all(), { objectMode: false }) };
}

async function* contentOf(entry: AsyncIterable<unknown>): AsyncGenerator<unknown> {
  try {
    yield* entry;
  } catch (error) {
    throw asArchiveError(error);
  }
}

/** Malformed archives are the sender's doing; what has a system's code, such as a broken connection, is something else. */
function asArchiveError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'Error') return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && !code.startsWith('Z_')) return error;
  const message = `this is no whole archive of images: ${error.message}`;
  return storageError('IMAGE_INVALID', message, { cause: error });
}
