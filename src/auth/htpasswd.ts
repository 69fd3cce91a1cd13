import { readFileSync, statSync } from 'node:fs';
import type { Logger } from '../../protocols/registry.ts';
import { bcryptCost, kindOfHash } from './password-hash.ts';

/** How often the file is looked at, in milliseconds. */
const LOOK_MS = 1000;
/** A file younger than this may change again without a change of its stamp. */
const YOUNG_MS = 2000;
/** What `htpasswd -B` uses. */
const USUAL_COST = 5;

/**
 * The accounts in an htpasswd file: lines of `name:hash`, where a later line of the same name counts. Looks are
 * synchronous and rare, so that a request that asks need not wait.
 */
export class HtpasswdFile {
  readonly path: string;
  readonly #log: Logger;
  #hashes = new Map<string, string>();
  #text = '';
  #stamp = '';
  #looked = 0;
  #highestCost = USUAL_COST;
  #failing = false;

  /** Throws an Error that names the fix when the file cannot be read. */
  constructor(path: string, log: Logger, now = Date.now()) {
    this.path = path;
    this.#log = log;
    this.#looked = now;
    try {
      this.#read(now);
    } catch (error) {
      throw new Error(
        `auth.htpasswd.path: cannot read ${path} (${messageOf(error)}); ${readFix(path, error)}`,
        { cause: error },
      );
    }
  }

  /** The hash of an account; undefined for an unknown one. */
  hashOf(user: string): string | undefined {
    return this.#hashes.get(user);
  }

  /** The highest bcrypt cost among the accounts: what an unknown name must cost as well. */
  get highestCost(): number {
    return this.#highestCost;
  }

  /** Reads the file again if it has changed, at most once a second. True when accounts are others than before. */
  refresh(now: number): boolean {
    if (now - this.#looked < LOOK_MS && now >= this.#looked) return false;
    this.#looked = now;
    try {
      const changed = this.#read(now);
      this.#failing = false;
      return changed;
    } catch (error) {
      // Editors replace files in two steps: what was read last stays true until there is a file again.
      if (!this.#failing) {
        this.#log.warn('htpasswd file cannot be read; its last accounts stay', {
          path: this.path,
          error: messageOf(error),
        });
      }
      this.#failing = true;
      return false;
    }
  }

  #read(now: number): boolean {
    const { mtimeMs, ctimeMs, size, ino } = statSync(this.path);
    const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
    if (stamp === this.#stamp && now - Math.max(mtimeMs, ctimeMs) > YOUNG_MS) return false;
    const text = readFileSync(this.path, 'utf8');
    const first = this.#stamp === '';
    this.#stamp = stamp;
    if (text === this.#text && !first) return false;
    this.#text = text;
    this.#hashes = parse(text);
    this.#review(first);
    return true;
  }

  #review(first: boolean): void {
    const hashes = [...this.#hashes];
    const costs = hashes.map(([, hash]) => bcryptCost(hash) ?? 0);
    this.#highestCost = costs.reduce((most, cost) => Math.max(most, cost), 0) || USUAL_COST;
    const old = hashes.filter(([, hash]) => ['apr1', 'sha'].includes(kindOfHash(hash) ?? ''));
    const strange = hashes.filter(([, hash]) => kindOfHash(hash) === undefined);
    const fields = { path: this.path, accounts: this.#hashes.size };
    this.#log.info(first ? 'htpasswd file read' : 'htpasswd file has changed', fields);
    if (hashes.length === 0) this.#log.warn('htpasswd file holds no account', { path: this.path });
    if (old.length > 0) {
      this.#log.warn('accounts have weak hashes (apr1, sha); renew them with htpasswd -B', {
        path: this.path,
        users: old.map(([user]) => user),
      });
    }
    if (strange.length > 0) {
      this.#log.warn('accounts cannot log in: their hashes are not bcrypt, apr1 or sha', {
        path: this.path,
        users: strange.map(([user]) => user),
      });
    }
  }
}

function parse(text: string): Map<string, string> {
  const hashes = new Map<string, string>();
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    const trimmed = line.trim();
    const colon = trimmed.indexOf(':');
    if (trimmed.startsWith('#') || colon <= 0) continue;
    hashes.set(trimmed.slice(0, colon), trimmed.slice(colon + 1).trim());
  }
  return hashes;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function readFix(path: string, error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM') {
    return `give it to the user that runs the registry: chown ${process.getuid?.() ?? 'USER'} ${path}`;
  }
  return `make it with: htpasswd -Bc ${path} NAME`;
}
