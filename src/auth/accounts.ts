import { createHmac } from 'node:crypto';
import { tooManyRequests } from '../../protocols/registry.ts';
import type { FailureLimit } from './failure-limit.ts';
import type { HtpasswdFile } from './htpasswd.ts';
import { dummyHash, verifyPassword } from './password-hash.ts';

/** Passwords hashed at the same time: the thread pool also serves the disk. */
const HASHES_AT_ONCE = 2;
const MOST_WAITING = 256;

/** Checks passwords of the accounts in a file, and says which state of an account a token was made for. */
export class Accounts {
  readonly #file: HtpasswdFile;
  readonly #limit: FailureLimit;
  readonly #secret: Buffer;
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  #hashing = 0;
  #generation = 0;

  constructor(
    file: HtpasswdFile,
    limit: FailureLimit,
    secret: Buffer,
    now: () => number = Date.now,
  ) {
    this.#file = file;
    this.#limit = limit;
    this.#secret = secret;
    this.#now = now;
  }

  /** Reads the file again if it is time. Gives a number that grows whenever accounts are others than before. */
  refresh(): number {
    if (this.#file.refresh(this.#now())) this.#generation += 1;
    return this.#generation;
  }

  /**
   * Whether this is the password of this account. An unknown name takes as long as a wrong password.
   * Throws TOOMANYREQUESTS after too many wrong ones from this address or for this name.
   */
  async check(user: string, password: string, address: string): Promise<boolean> {
    this.#refuseAfterFailures(address, user);
    await this.#enter();
    try {
      // Others that waited before may have used up what is allowed.
      this.#refuseAfterFailures(address, user);
      const hash = this.#file.hashOf(user);
      const right = await verifyPassword(password, hash ?? dummyHash(this.#file.highestCost));
      if (right && hash !== undefined) return true;
      this.#limit.record(address, user, this.#now());
      return false;
    } finally {
      this.#leave();
    }
  }

  /**
   * A mark that changes with the password of an account, for tokens that must not outlive it; undefined when there is
   * no such account.
   */
  stateOf(user: string): string | undefined {
    const hash = this.#file.hashOf(user);
    if (hash === undefined) return undefined;
    const mac = createHmac('sha256', this.#secret).update(`account state\0${user}\0${hash}`);
    return mac.digest('base64url').slice(0, 16);
  }

  #refuseAfterFailures(address: string, user: string): void {
    const seconds = this.#limit.retryAfter(address, user, this.#now());
    if (seconds === undefined) return;
    throw tooManyRequests(
      `too many wrong passwords; try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}`,
      seconds,
    );
  }

  async #enter(): Promise<void> {
    if (this.#hashing < HASHES_AT_ONCE) {
      this.#hashing += 1;
      return;
    }
    if (this.#waiting.length >= MOST_WAITING) {
      throw tooManyRequests('too many logins at the same time; try again', 1);
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The place goes straight to the next in line, so that nobody slips in between. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#hashing -= 1;
  }
}
