import { totalmem } from 'node:os';
import { LRUCache } from 'lru-cache';

/** The part of the machine's memory that is taken to be the system's cache of files. */
const CACHE_SHARE = 1 / 8;
/** A part of a file that nobody read for so long counts as forgotten. */
const FORGOTTEN_MS = 60_000;

/**
 * Which parts of files were read lately, and so lie in the system's cache: there a synchronous read takes
 * microseconds, and half of the work of one in the thread pool. Only a guess: a wrong one costs the wait for a disk.
 */
export class WarmFiles {
  readonly #parts: LRUCache<string, true>;

  /** `partBytes` is the size of a part. */
  constructor(partBytes: number) {
    this.#parts = new LRUCache({
      max: Math.ceil((totalmem() * CACHE_SHARE) / partBytes),
      ttl: FORGOTTEN_MS,
      updateAgeOnGet: true,
      ttlResolution: 1000,
    });
  }

  /** Parts are numbered from 0; a fraction is rounded down. */
  has(path: string, part: number): boolean {
    return this.#parts.get(keyOf(path, part)) === true;
  }

  add(path: string, part: number): void {
    this.#parts.set(keyOf(path, part), true);
  }
}

function keyOf(path: string, part: number): string {
  return `${path}#${Math.floor(part)}`;
}
