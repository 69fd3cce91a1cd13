import { LRUCache } from 'lru-cache';

const WINDOW_MS = 60_000;
const MOST_ENTRIES = 20_000;

interface Failures {
  count: number;
  until: number;
}

/**
 * Counts wrong passwords for each address and each user name, in windows of a minute. Kept in this process, so the
 * limit holds for each worker.
 */
export class FailureLimit {
  readonly #perMinute: number;
  readonly #failures = new LRUCache<string, Failures>({ max: MOST_ENTRIES });

  /** `perMinute` 0: no limit. */
  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** Seconds until another attempt is let in; undefined when it is let in now. */
  retryAfter(address: string, user: string, now: number): number | undefined {
    if (this.#perMinute === 0) return undefined;
    let until = 0;
    for (const key of keysOf(address, user)) {
      const failures = this.#failures.get(key);
      if (failures && failures.count >= this.#perMinute) until = Math.max(until, failures.until);
    }
    return until > now ? Math.ceil((until - now) / 1000) : undefined;
  }

  record(address: string, user: string, now: number): void {
    for (const key of keysOf(address, user)) {
      const failures = this.#failures.get(key);
      if (failures && failures.until > now) failures.count += 1;
      else this.#failures.set(key, { count: 1, until: now + WINDOW_MS });
    }
  }
}

function keysOf(address: string, user: string): [string, string] {
  return [`address ${networkOf(address)}`, `user ${user}`];
}

/** One customer has a whole IPv6 /64 to choose addresses from, so that counts as one address. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    while (groups.length + last.length < 8) groups.push('0');
    groups.push(...last);
  }
  return groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':');
}
