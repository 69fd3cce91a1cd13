import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';

const MOST_ENTRIES = 10_000;

/** What credentials turned out to stand for, and until when (milliseconds since the epoch) that is believed. */
export interface Believed<T> {
  value: T;
  until: number;
}

/**
 * Remembers what checked credentials stand for. They are kept as a keyed hash only, by a key that this process made
 * for itself, so that a memory dump holds no password.
 */
export class CredentialCache<T extends object> {
  readonly #key = randomBytes(32);
  readonly #entries = new LRUCache<string, Believed<T>>({ max: MOST_ENTRIES });
  readonly #checking = new Map<string, Promise<T | undefined>>();
  #generation = 0;

  /**
   * What these credentials stand for: at once where that is known, else once `check` has settled. The same
   * credentials are checked once at a time, and refusals are never remembered.
   */
  resolve(
    credentials: string,
    now: number,
    check: () => Promise<Believed<T> | undefined>,
  ): T | Promise<T | undefined> {
    const hash = createHmac('sha256', this.#key).update(credentials).digest('base64');
    const known = this.#entries.get(hash);
    if (known && known.until > now) return known.value;
    const running = this.#checking.get(hash);
    if (running !== undefined) return running;
    const checking = this.#check(hash, now, check).finally(() => {
      if (this.#checking.get(hash) === checking) this.#checking.delete(hash);
    });
    this.#checking.set(hash, checking);
    return checking;
  }

  /** Forgets everything, also what is being checked right now: accounts have changed. */
  clear(): void {
    this.#generation += 1;
    this.#entries.clear();
    this.#checking.clear();
  }

  async #check(
    hash: string,
    now: number,
    check: () => Promise<Believed<T> | undefined>,
  ): Promise<T | undefined> {
    const generation = this.#generation;
    const found = await check();
    if (found && found.until > now && generation === this.#generation) {
      this.#entries.set(hash, found);
    }
    return found?.value;
  }
}
