import type { LRUCache } from 'lru-cache';
import { boundedCache } from './bounded-cache.ts';
import { type Digest, isDigest } from './digest.ts';
import type { FileStamp, PutItem, StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { putAll } from './put-all.ts';

export type MaybePromise<T> = T | Promise<T>;

interface CachedLink {
  stamp: FileStamp;
  digest: Digest;
}

/**
 * A file that was written less than this long before it was read may be written again without its stamp changing:
 * file systems count time in ticks of some milliseconds, and reuse inode numbers.
 */
const RACY_MS = 100;

/**
 * Reads links, the small files that name a digest. On a local file system a cached link is believed as long as its
 * inode, size and modification time stand, so a write by any process is seen by the next read. Elsewhere every
 * read asks the driver.
 */
export class Links {
  readonly #driver: StorageDriver;
  readonly #cache: LRUCache<string, CachedLink>;

  constructor(driver: StorageDriver, entries: number) {
    this.#driver = driver;
    this.#cache = boundedCache(entries);
  }

  /** The digest that the link names; undefined when there is no link or it is torn. */
  read(path: string): MaybePromise<Digest | undefined> {
    const { local } = this.#driver;
    if (!local) return ifFound(this.#driver.get(path)).then(parseLink);
    const stamp = local.stamp(path);
    if (!stamp) return undefined;
    const cached = this.#cache.get(path);
    if (cached && sameStamp(cached.stamp, stamp)) return cached.digest;
    const digest = parseLink(local.get(path));
    if (digest && settled(stamp)) this.#cache.set(path, { stamp, digest });
    return digest;
  }

  /** Writes a link; when this returns, every reader sees it. */
  async write(path: string, digest: Digest): Promise<void> {
    await this.#driver.put(path, digest);
  }

  /** Writes links, or other small content, as `putAll` does. */
  async writeAll(items: readonly PutItem[], last?: readonly PutItem[]): Promise<void> {
    await putAll(this.#driver, items, last);
  }
}

export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.inode === b.inode && a.modified === b.modified && a.size === b.size;
}

/** Whether a stamp read now is old enough to tell a later change apart. */
export function settled(stamp: FileStamp): boolean {
  return Date.now() - stamp.modified > RACY_MS;
}

function parseLink(content: Buffer | undefined): Digest | undefined {
  const text = content?.toString('latin1').trim();
  return text !== undefined && isDigest(text) ? text : undefined;
}
