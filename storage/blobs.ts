import type { Readable, Writable } from 'node:stream';
import { LRUCache } from 'lru-cache';
import { algorithmOf, type Digest, digestOf } from './digest.ts';
import type { ByteRange, PutItem, StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import type { MaybePromise } from './links.ts';
import { blobData, blobDirectory } from './paths.ts';
import { pour } from './pour.ts';
import type { SharedCache } from './shared-cache.ts';

/** Blobs up to this size may be kept in memory, in bytes. */
const SMALL_BLOB = 64 * 1024;

export interface AdoptOptions {
  /** Whether the bytes are on the disk already. */
  flushed?: Promise<boolean>;
  /** Called when everybody can see the blob, which may be before it would survive a power cut, or not at all. */
  shown?: () => void;
}

/** The blobs of the whole store, by digest, without regard to who may see them. */
export class BlobStore {
  readonly #driver: StorageDriver;
  readonly #small: LRUCache<Digest, Buffer>;
  readonly #shared: SharedCache | undefined;

  /** `shared` keeps small blobs for all nodes; it is asked only where the driver is farther away than it. */
  constructor(driver: StorageDriver, cacheBytes: number, shared?: SharedCache) {
    this.#driver = driver;
    this.#shared = driver.local ? undefined : shared;
    this.#small = new LRUCache({
      maxSize: Math.max(cacheBytes, 1),
      sizeCalculation: (bytes) => bytes.length + 200,
    });
  }

  /** Size in bytes, or undefined when the blob is not stored. Always asks the driver: a collected blob is gone. */
  size(digest: Digest): MaybePromise<number | undefined> {
    const { local } = this.#driver;
    if (local) return local.stamp(blobData(digest))?.size;
    return ifFound(this.#driver.stat(blobData(digest))).then((info) => info?.size);
  }

  read(digest: Digest, range?: ByteRange): Promise<Readable> {
    return this.#driver.read(blobData(digest), range);
  }

  /**
   * Writes part of a blob to a stream, by the quickest way that the driver has, and ends it. The caller has checked
   * the range. Calls `begin` once the blob is found, for what goes before it.
   */
  async send(digest: Digest, range: ByteRange, out: Writable, begin: () => void): Promise<void> {
    const { local } = this.#driver;
    if (!local) {
      return pour(await this.read(digest, range), out, begin);
    }
    await local.send(blobData(digest), range, out, begin);
    out.end();
  }

  /** Whether a blob of this size is kept in memory once it was asked for. */
  isSmall(size: number): boolean {
    return size <= SMALL_BLOB;
  }

  /** A small blob whole, from memory where it was asked for before; undefined when it is not stored. */
  get(digest: Digest): MaybePromise<Buffer | undefined> {
    const cached = this.#small.get(digest);
    if (cached) return cached;
    const { local } = this.#driver;
    if (local) return this.#remember(digest, local.get(blobData(digest)));
    return this.#fetch(digest);
  }

  async #fetch(digest: Digest): Promise<Buffer | undefined> {
    const near = this.#remember(digest, await this.#shared?.get(sharedKey(digest)));
    if (near) return near;
    const bytes = this.#remember(digest, await ifFound(this.#driver.get(blobData(digest))));
    if (bytes && bytes.length <= SMALL_BLOB) this.#shared?.set(sharedKey(digest), bytes);
    return bytes;
  }

  /** What has to be put so that small content is stored under its digest. */
  async missing(bytes: Buffer, digest: Digest): Promise<PutItem[]> {
    if ((await this.size(digest)) === bytes.length) return [];
    return [{ path: blobData(digest), content: bytes }];
  }

  /** Stores small content under its digest; does nothing when it is there already. */
  async put(bytes: Buffer, digest: Digest): Promise<void> {
    if ((await this.size(digest)) === bytes.length) return;
    await this.#driver.put(blobData(digest), bytes);
  }

  /**
   * Makes a file of `size` bytes, whose digest the caller has verified, the data of this blob: durable, renamed
   * into place. A stored blob of another size is damaged and is replaced.
   */
  async adopt(path: string, digest: Digest, size: number): Promise<void> {
    if ((await this.size(digest)) === size) {
      await this.#driver.delete(path, { durable: false });
      return;
    }
    await this.#driver.commit(path);
    await this.#driver.move(path, blobData(digest));
  }

  /**
   * As `adopt`, of the file `data` in a directory that has served its purpose: it becomes the blob's own where that can
   * be, else it is removed.
   */
  async adoptDirectory(
    directory: string,
    digest: Digest,
    size: number,
    { flushed, shown }: AdoptOptions = {},
  ): Promise<void> {
    const { local } = this.#driver;
    const data = `${directory}/data`;
    if (local?.moveDirectory && (await this.size(digest)) !== size) {
      if (!(await flushed)) await this.#driver.commit(data);
      if (await local.moveDirectory(directory, blobDirectory(digest), 'data', shown)) return;
    }
    await this.adopt(data, digest, size);
    await this.#driver.delete(directory, { durable: false });
  }

  /** Whether the backend can send clients to itself at all. */
  get redirects(): boolean {
    return this.#driver.redirectUrl !== undefined;
  }

  /** Where the client may fetch the blob itself, if the backend can say. */
  async redirectUrl(digest: Digest, method: string): Promise<URL | undefined> {
    return this.#driver.redirectUrl?.(blobData(digest), { method });
  }

  /** The file that holds the blob, where there is one. */
  filename(digest: Digest): string | undefined {
    return this.#driver.local?.filename(blobData(digest));
  }

  /** Whatever a cache gave, only the right bytes are taken for a blob. */
  #remember(digest: Digest, bytes: Buffer | undefined): Buffer | undefined {
    if (!bytes) return undefined;
    if (digestOf(bytes, algorithmOf(digest)) !== digest) return undefined;
    if (bytes.length <= SMALL_BLOB) this.#small.set(digest, bytes);
    return bytes;
  }
}

function sharedKey(digest: Digest): string {
  return `isthmus:blob:${digest}`;
}
