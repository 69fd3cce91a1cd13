import { LRUCache } from 'lru-cache';

/**
 * Keeps the `most` entries that were used last. With a `max`, LRUCache makes room for all of them at once, which every
 * start would pay for.
 */
export function boundedCache<K extends {}, V extends {}>(most: number): LRUCache<K, V> {
  return new LRUCache({ maxSize: Math.max(most, 1), sizeCalculation: () => 1 });
}
