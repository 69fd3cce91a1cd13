import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { ByteRange, FileInfo, PutOptions, StorageDriver, Tap } from '../../driver.ts';
import { ConditionFailedError, ifFound, PathNotFoundError } from '../../errors.ts';
import {
  append,
  appendedAt,
  appendedObjects,
  isMore,
  move,
  read,
  withMore,
} from './s3-appended.ts';
import { S3Bucket, type S3Options } from './s3-bucket.ts';

/**
 * Content in a bucket of S3, under distribution's keys. Any number of nodes may share one: writes that depend on what is
 * there are settled by the service (`If-None-Match`, `If-Match`).
 */
export class S3Driver implements StorageDriver {
  readonly name = 's3';
  readonly redirectUrl?: (path: string, request: { method: string }) => Promise<URL>;
  readonly #bucket: S3Bucket;
  readonly #chunkBytes: number;

  constructor(options: S3Options) {
    this.#bucket = new S3Bucket(options);
    this.#chunkBytes = options.chunkBytes;
    if (options.redirect) {
      this.redirectUrl = (path, { method }) => this.#bucket.signedUrl(path, method);
    }
  }

  /** Throws an Error when the bucket can't be used, or the service does not settle races. */
  async open(): Promise<void> {
    await this.#bucket.check();
    const path = `/.probe-${randomUUID()}`;
    const condition = { ifNoneMatch: '*' } as const;
    await this.#bucket.put(path, 'probe', { condition });
    try {
      await this.#bucket.put(path, 'probe', { condition });
    } catch (error) {
      if (error instanceof ConditionFailedError) return;
      throw error;
    } finally {
      await this.#bucket.delete([path]);
    }
    throw new Error(
      'the storage service ignores the header If-None-Match, so two writers could both win; use one that honours it, as Amazon S3, Ceph, MinIO and versitygw do',
    );
  }

  async get(path: string): Promise<Buffer> {
    const { body, object } = await this.#bucket.get(path);
    const first = await gather(body);
    if (object.more === undefined) return first;
    const { size } = await withMore(this.#bucket, path, object);
    const rest = { start: first.length, end: size - 1 };
    return Buffer.concat([first, await gather(await read(this.#bucket, path, rest))]);
  }

  async put(path: string, content: Uint8Array | string, options: PutOptions = {}): Promise<void> {
    const { condition, after } = options;
    await after;
    if (condition === undefined) return this.#bucket.put(path, content);
    if (condition === 'absent') {
      return this.#bucket.put(path, content, { condition: { ifNoneMatch: '*' } });
    }
    const present = await ifFound(this.#bucket.get(path));
    if (!present) throw new ConditionFailedError(path);
    const bytes = await gather(present.body);
    if (!bytes.equals(condition.unchanged)) throw new ConditionFailedError(path);
    return this.#bucket.put(path, content, { condition: { ifMatch: present.object.etag } });
  }

  read(path: string, range?: ByteRange): Promise<Readable> {
    return read(this.#bucket, path, range);
  }

  append(path: string, offset: number, source: Readable, tap?: Tap): Promise<number> {
    return append(this.#bucket, path, offset, source, { chunkBytes: this.#chunkBytes, tap });
  }

  /** Whatever the service has taken is durable. */
  async commit(path: string): Promise<void> {
    await this.#bucket.head(path);
  }

  async stat(path: string): Promise<FileInfo> {
    const object = path === '/' ? undefined : await ifFound(this.#bucket.head(path));
    if (object) {
      const { more, modified } = object;
      const size = more === undefined ? object.size : (await appendedAt(this.#bucket, path)).size;
      return { size, modified, directory: false };
    }
    if (path !== '/' && !(await this.#bucket.hasChildren(path))) throw new PathNotFoundError(path);
    return { size: 0, modified: 0, directory: true };
  }

  async *list(path: string): AsyncIterable<string> {
    const names = new Set<string>();
    for await (const { name } of this.#bucket.list(path)) if (!isMore(name)) names.add(name);
    yield* [...names].sort();
  }

  move(from: string, to: string): Promise<void> {
    return move(this.#bucket, from, to);
  }

  async delete(path: string): Promise<void> {
    const paths = await appendedObjects(this.#bucket, path);
    for await (const { name } of this.#bucket.list(path, { deep: true })) {
      paths.push(`${path}/${name}`);
    }
    await this.#bucket.delete(paths);
  }

  close(): Promise<void> {
    return this.#bucket.close();
  }
}

async function gather(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
