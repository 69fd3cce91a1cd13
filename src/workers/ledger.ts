import { LRUCache } from 'lru-cache';
import type { Counts } from '../peers.ts';

const WINDOW_MS = 60_000;
const MOST_KEYS = 20_000;

/** What workers counted within the last minute, for those that start later: else a new worker would be a new chance. */
export class Ledger {
  readonly #entries = new LRUCache<string, { amount: number; until: number }>({ max: MOST_KEYS });

  add(counts: Counts, now: number): void {
    for (const [key, amount] of counts) {
      const entry = this.#entries.get(key);
      if (entry !== undefined && entry.until > now) entry.amount += amount;
      else this.#entries.set(key, { amount, until: now + WINDOW_MS });
    }
  }

  recent(now: number): Counts {
    return [...this.#entries].flatMap(
      ([key, { amount, until }]): Counts => (until > now ? [[key, amount]] : []),
    );
  }
}
