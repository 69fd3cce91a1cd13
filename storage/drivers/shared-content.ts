import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { isCode } from './file-errors.ts';

/** Contents that are remembered at a time. */
const MAX_SEEDS = 4;
/** A seed's time is brought up to date when it is older. */
const FRESH_MS = 5_000;
/** A seed that nobody used for so long was left behind by a process that was killed. */
const ABANDONED_MS = 3_600_000;
const SEED = /^\.seed-[0-9a-f-]{36}\.tmp$/;

interface Seed {
  filename: string;
  touched: number;
}

/**
 * Makes small files of the same content, over and over, as hard links to one: what costs in a small file that soon goes
 * again is to make and to remove its inode. The files must never be written to, only replaced or removed.
 */
export class SharedContent {
  readonly #directory: string;
  readonly #seeds = new Map<string, Seed>();
  #swept = false;

  /** `directory` holds the seeds, and lies on the same file system as what is made of them. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Makes a file of this content, unless one is there: then EEXIST is thrown. Its time of modification is at most five
   * seconds past. False, and nothing is done, where files can't be linked.
   */
  make(filename: string, content: string): boolean {
    const seed = this.#seeds.get(content);
    if (seed === undefined || !this.#link(seed, filename)) {
      const fresh = this.#sow(content);
      return fresh !== undefined && this.#link(fresh, filename);
    }
    return true;
  }

  /** Removes the seeds. */
  close(): void {
    for (const content of [...this.#seeds.keys()]) this.#drop(content);
  }

  #link(seed: Seed, filename: string): boolean {
    try {
      const now = Date.now();
      if (now - seed.touched > FRESH_MS) {
        fs.utimesSync(seed.filename, now / 1000, now / 1000);
        seed.touched = now;
      }
      fs.linkSync(seed.filename, filename);
      return true;
    } catch (error) {
      if (isCode(error, 'EEXIST')) throw error;
      return false;
    }
  }

  #sow(content: string): Seed | undefined {
    this.#drop(content);
    for (const oldest of this.#seeds.keys()) {
      if (this.#seeds.size < MAX_SEEDS) break;
      this.#drop(oldest);
    }
    const seed = {
      filename: join(this.#directory, `.seed-${randomUUID()}.tmp`),
      touched: Date.now(),
    };
    try {
      this.#sweep();
      fs.writeFileSync(seed.filename, content, { flag: 'wx' });
    } catch {
      return undefined;
    }
    this.#seeds.set(content, seed);
    return seed;
  }

  #drop(content: string): void {
    const seed = this.#seeds.get(content);
    if (!seed) return;
    this.#seeds.delete(content);
    fs.rmSync(seed.filename, { force: true });
  }

  #sweep(): void {
    if (this.#swept) return;
    this.#swept = true;
    for (const name of fs.readdirSync(this.#directory)) {
      if (!SEED.test(name)) continue;
      const filename = join(this.#directory, name);
      const stat = fs.statSync(filename, { throwIfNoEntry: false });
      if (stat && Date.now() - stat.mtimeMs > ABANDONED_MS) fs.rmSync(filename, { force: true });
    }
  }
}
