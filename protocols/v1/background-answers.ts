import { LRUCache } from 'lru-cache';
import { registryError } from '../registry.ts';

const CACHE_BYTES = 64 * 1024 * 1024;
/** Layers that are read at the same time, so that listings never crowd out pulls and pushes. */
const AT_ONCE = 2;
const MAX_WAITING = 100;

/**
 * Answers that take reading whole layers. Each is made once, however many ask for it, a few at a time, and kept while
 * there is room.
 */
export class BackgroundAnswers {
  readonly #answers = new LRUCache<string, Buffer>({
    maxSize: CACHE_BYTES,
    sizeCalculation: (answer, key) => answer.length + key.length + 100,
  });
  readonly #running = new Map<string, Promise<Buffer>>();
  readonly #waiting: (() => void)[] = [];
  #active = 0;

  /** The answer under this key, made by `make` where it is not there. Throws UNAVAILABLE when too many are wanted. */
  async get(key: string, make: () => Promise<Buffer>): Promise<Buffer> {
    const known = this.#answers.get(key);
    if (known) return known;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    if (this.#waiting.length >= MAX_WAITING) {
      throw registryError('UNAVAILABLE', 'too many layers are being read, retry later');
    }
    const work = this.#inTurn(make).then((answer) => {
      this.#answers.set(key, answer);
      return answer;
    });
    this.#running.set(key, work);
    const forget = () => this.#running.delete(key);
    work.then(forget, forget);
    return work;
  }

  /** As `get`, but gives undefined when the answer is not there after `ms` milliseconds; it is still being made. */
  async getWithin(
    ms: number,
    key: string,
    make: () => Promise<Buffer>,
  ): Promise<Buffer | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, ms, undefined);
    });
    try {
      return await Promise.race([this.get(key, make), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #inTurn(make: () => Promise<Buffer>): Promise<Buffer> {
    if (this.#active >= AT_ONCE) await new Promise<void>((turn) => this.#waiting.push(turn));
    else this.#active += 1;
    try {
      return await make();
    } finally {
      // The place goes on to whoever waits longest.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#active -= 1;
    }
  }
}
