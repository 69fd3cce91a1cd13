import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ByteRange, Tap } from '../../driver.ts';
import { ConditionFailedError, ifFound } from '../../errors.ts';
import type { S3Bucket, S3Object, S3Piece } from './s3-bucket.ts';

/** What S3 allows for every part of an object but the last. Bytes. */
const LEAST_PART = 5 * 1024 * 1024;
/** What S3 copies at a time. Bytes. */
const MOST_COPIED = 5 * 1024 * 1024 * 1024;
/** How larger objects are copied. Bytes. */
const COPIED = 1024 * 1024 * 1024;

const FOLDER = '/.more-';

interface Segment {
  path: string;
  /** Bytes. */
  size: number;
}

/**
 * Content that grows, which S3 does not have: the object of the path itself, and where that was large enough to be a part,
 * more objects beside it, each but the last of at least 5 MiB, that become one when the content is moved. The mark of the
 * first object names the folder of the others.
 */
export interface Appended {
  segments: Segment[];
  /** Bytes of all. */
  size: number;
  more: string | undefined;
}

/** What lies at a path, with all that was appended. Throws PathNotFoundError. */
export async function appendedAt(bucket: S3Bucket, path: string): Promise<Appended> {
  return withMore(bucket, path, await bucket.head(path));
}

/** As `appendedAt`, of an object whose headers are known. */
export async function withMore(
  bucket: S3Bucket,
  path: string,
  { size, more }: Pick<S3Object, 'size' | 'more'>,
): Promise<Appended> {
  const segments: Segment[] = [{ path, size }];
  if (more !== undefined) {
    const folder = folderOf(path, more);
    const rest: Segment[] = [];
    for await (const entry of bucket.list(folder)) {
      rest.push({ path: `${folder}/${entry.name}`, size: entry.size });
    }
    segments.push(...rest.sort((a, b) => (a.path < b.path ? -1 : 1)));
  }
  return { segments, size: segments.reduce((sum, each) => sum + each.size, 0), more };
}

/** Whether a child of a directory is part of another one. */
export function isMore(name: string): boolean {
  return name.startsWith(FOLDER.slice(1));
}

/** Everything that belongs to what was appended at a path, if anything was. */
export async function appendedObjects(bucket: S3Bucket, path: string): Promise<string[]> {
  const found = await ifFound(appendedAt(bucket, path));
  return found?.segments.map((segment) => segment.path) ?? [];
}

/** As `StorageDriver.append`; `chunkBytes` are gathered at a time, while as many are on their way. */
export async function append(
  bucket: S3Bucket,
  path: string,
  offset: number,
  source: Readable,
  { chunkBytes, tap }: { chunkBytes: number; tap: Tap | undefined },
): Promise<number> {
  // The source is read at once: it may fail while the service is still being asked.
  const writer = new SegmentWriter(bucket, path, offset);
  let failure: { error: unknown } | undefined;
  try {
    // A source that is refused stays open, so that its client can be told.
    const chunks: AsyncIterable<Buffer> = source.iterator({ destroyOnReturn: false });
    for await (const chunk of chunks) {
      await tap?.(chunk);
      writer.add(chunk);
      if (writer.waiting >= chunkBytes) await writer.flush();
    }
  } catch (error) {
    failure = { error };
    if (!source.destroyed) source.resume();
  }
  await writer.end();
  if (failure) throw failure.error;
  return writer.size;
}

/** As `StorageDriver.read`. Throws PathNotFoundError. */
export async function read(
  bucket: S3Bucket,
  path: string,
  range: ByteRange | undefined,
): Promise<Readable> {
  if (range && range.end < range.start) {
    await bucket.head(path);
    return Readable.from([]);
  }
  const first = range ? await bucket.getRange(path, range) : await bucket.get(path);
  if (first && first.object.more === undefined) return first.body;
  first?.body.destroy();
  const { segments } = await appendedAt(bucket, path);
  return Readable.from(readSegments(bucket, segments, range), { objectMode: false });
}

/** As `StorageDriver.move`: one copy, of all segments at once, by the service itself. Throws PathNotFoundError. */
export async function move(bucket: S3Bucket, from: string, to: string): Promise<void> {
  const { segments } = await appendedAt(bucket, from);
  const [only] = segments;
  if (segments.length === 1 && only && only.size <= MOST_COPIED) await bucket.copy(from, to);
  else await bucket.join(segments.flatMap(piecesOf), to);
  await bucket.delete(segments.map(({ path }) => path));
}

/** Puts what it is given into segments, one of which is on its way while the next is gathered. */
class SegmentWriter {
  size: number;
  /** Bytes gathered and not yet on their way. */
  waiting = 0;
  readonly #bucket: S3Bucket;
  readonly #path: string;
  readonly #begun: Promise<void>;
  #segments: Segment[] = [];
  #more: string | undefined;
  #gathered: Buffer[] = [];
  #sending: Promise<void> = Promise.resolve();
  /** Of a last segment that was too short to be a part, and is sent again with what follows it. */
  #again: Buffer = Buffer.alloc(0);
  #isNew = false;

  constructor(bucket: S3Bucket, path: string, offset: number) {
    this.#bucket = bucket;
    this.#path = path;
    this.size = offset;
    this.#begun = this.#begin(offset);
    // Whoever sends something is told.
    this.#begun.catch(() => undefined);
  }

  /** Throws ConditionFailedError where the content does not stand at the offset. */
  async #begin(offset: number): Promise<void> {
    const before = await ifFound(appendedAt(this.#bucket, this.#path));
    if ((before?.size ?? 0) !== offset) throw new ConditionFailedError(this.#path);
    this.#isNew = before === undefined;
    this.#segments = before?.segments ?? [];
    this.#more = before?.more;
    const last = this.#segments.at(-1);
    if (last === undefined || last.size >= LEAST_PART) return;
    this.#segments.pop();
    const chunks: Buffer[] = [];
    const { body } = await this.#bucket.get(last.path);
    for await (const chunk of body) chunks.push(chunk as Buffer);
    this.#again = Buffer.concat(chunks);
  }

  add(chunk: Buffer): void {
    this.size += chunk.length;
    this.#gathered.push(chunk);
    this.waiting += chunk.length;
  }

  /** Sends what was gathered, once what was sent before has arrived. */
  async flush(): Promise<void> {
    await this.#begun;
    const content = Buffer.concat([this.#again, ...this.#gathered]);
    this.#again = Buffer.alloc(0);
    this.#gathered = [];
    this.waiting = 0;
    await this.#sending;
    this.#sending = this.#send(content);
    // Its failure is told by whoever waits for it next.
    this.#sending.catch(() => undefined);
  }

  /** Sends the rest, and waits until all has arrived. */
  async end(): Promise<void> {
    await this.#begun;
    if (this.waiting > 0 || (this.#isNew && this.size === 0)) await this.flush();
    await this.#sending;
  }

  async #send(content: Buffer): Promise<void> {
    if (this.#segments.length === 0) {
      if (content.length >= LEAST_PART) this.#more = randomUUID();
      await this.#bucket.put(this.#path, content, { more: this.#more });
      this.#segments.push({ path: this.#path, size: content.length });
      return;
    }
    if (this.#more === undefined) {
      this.#more = randomUUID();
      await this.#bucket.copy(this.#path, this.#path, this.#more);
    }
    const number = String(this.#segments.length).padStart(5, '0');
    const path = `${folderOf(this.#path, this.#more)}/${number}`;
    await this.#bucket.put(path, content);
    this.#segments.push({ path, size: content.length });
  }
}

/** Beside the first, since services over file systems can't have an object below another. */
function folderOf(path: string, more: string): string {
  return `${path.slice(0, path.lastIndexOf('/'))}${FOLDER}${more}`;
}

async function* readSegments(
  bucket: S3Bucket,
  segments: readonly Segment[],
  range: ByteRange | undefined,
): AsyncGenerator<Buffer> {
  let position = 0;
  for (const { path, size } of segments) {
    const start = Math.max((range?.start ?? 0) - position, 0);
    const end = Math.min((range?.end ?? Number.MAX_SAFE_INTEGER) - position, size - 1);
    position += size;
    if (start > end) continue;
    const found = await bucket.getRange(path, { start, end });
    if (found) yield* found.body as AsyncIterable<Buffer>;
  }
}

function piecesOf({ path, size }: Segment): S3Piece[] {
  if (size <= MOST_COPIED) return [{ path }];
  return Array.from({ length: Math.ceil(size / COPIED) }, (_, at) => {
    const start = at * COPIED;
    return { path, range: { start, end: Math.min(start + COPIED, size) - 1 } };
  });
}
