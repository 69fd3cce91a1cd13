import { LRUCache } from 'lru-cache';
import { NO_PEERS, type Peers } from '../peers.ts';

const WINDOW_MS = 60_000;
const MOST_ENTRIES = 20_000;

interface Failures {
  count: number;
  until: number;
}

/** Counts wrong passwords for each address and each user name, in windows of a minute, over all workers. */
export class FailureLimit {
  readonly #perMinute: number;
  readonly #peers: Peers;
  readonly #failures = new LRUCache<string, Failures>({ max: MOST_ENTRIES });

  /** `perMinute` 0: no limit. */
  constructor(perMinute: number, peers: Peers = NO_PEERS) {
    this.#perMinute = perMinute;
    this.#peers = peers;
    if (perMinute > 0)
      peers.listen('failures', (key, amount) => this.#add(key, amount, Date.now()));
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
    if (this.#perMinute === 0) return;
    for (const key of keysOf(address, user)) {
      this.#add(key, 1, now);
      this.#peers.count('failures', key);
    }
  }

  #add(key: string, amount: number, now: number): void {
    const failures = this.#failures.get(key);
    if (failures && failures.until > now) failures.count += amount;
    else this.#failures.set(key, { count: amount, until: now + WINDOW_MS });
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
