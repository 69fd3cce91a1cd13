import { LRUCache } from 'lru-cache';
import type { FileStamp, StorageDriver } from './driver.ts';
import { type MaybePromise, sameStamp, settled } from './links.ts';

interface CachedListing {
  stamp: FileStamp;
  names: readonly string[];
}

const NOTHING: readonly string[] = [];

/** Sorted directory listings, kept as long as the directory's own stamp stands (local file systems only). */
export class Listings {
  readonly #driver: StorageDriver;
  readonly #cache: LRUCache<string, CachedListing>;

  constructor(driver: StorageDriver, maxNames: number) {
    this.#driver = driver;
    this.#cache = new LRUCache({
      maxSize: Math.max(maxNames, 1),
      sizeCalculation: (listing) => listing.names.length + 1,
    });
  }

  /** Names of the direct children in byte order. */
  children(path: string): MaybePromise<readonly string[]> {
    const { local } = this.#driver;
    const stamp = local?.stamp(path);
    if (local && !stamp) return NOTHING;
    const cached = stamp && this.#cache.get(path);
    if (cached && sameStamp(cached.stamp, stamp)) return cached.names;
    return this.#read(path, stamp);
  }

  async #read(path: string, stamp: FileStamp | undefined): Promise<readonly string[]> {
    const names = await gather(this.#driver.list(path));
    if (stamp && settled(stamp)) this.#cache.set(path, { stamp, names });
    return names;
  }
}

export async function gather<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

/** The index of the first name after `last` in a sorted list. */
export function firstAfter(
  names: readonly string[],
  last: string,
  compare: (a: string, b: string) => number = byteOrder,
): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(names[middle] as string, last) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function byteOrder(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
