import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import type { PutItem, PutOptions } from '../driver.ts';
import { ConditionFailedError } from '../errors.ts';
import type { Directories } from './directories.ts';
import { isCode, removeIfPossible, translate } from './file-errors.ts';
import { flush } from './flush.ts';
import { SharedContent } from './shared-content.ts';

/** A lock file for compare-and-swap that nobody released within this time belongs to a dead process. */
const LOCK_STALE_MS = 10_000;

/** What `link` fails with where the content has to be written again. */
const UNLINKABLE = ['EEXIST', 'EMLINK', 'ENOENT', 'EXDEV', 'EPERM', 'EACCES', 'ENOTSUP', 'ENOSYS'];

/** Puts small content into files: written aside, flushed, and renamed into place. */
export class FilePuts {
  readonly #root: string;
  readonly #fsync: boolean;
  readonly #directories: Directories;
  readonly #shared: SharedContent;

  constructor(root: string, fsync: boolean, directories: Directories) {
    this.#root = root;
    this.#fsync = fsync;
    this.#directories = directories;
    this.#shared = new SharedContent(root);
  }

  close(): void {
    this.#shared.close();
  }

  /** As `StorageDriver.put`. */
  async put(path: string, content: Uint8Array | string, options: PutOptions = {}): Promise<void> {
    const { condition, durable = true, shared } = options;
    if (typeof condition === 'object') {
      return this.#swap(path, content, condition.unchanged, durable);
    }
    const target = this.#root + path;
    if (condition === 'absent' || !durable) {
      await this.#putOne(target, content, path, condition === 'absent', durable, shared === true);
    } else {
      await this.putAll([{ path, content }]);
    }
  }

  async #putOne(
    target: string,
    content: Uint8Array | string,
    path: string,
    absent: boolean,
    durable: boolean,
    shared: boolean,
  ): Promise<void> {
    this.#directories.makeFor(target, path);
    const directory = dirname(target);
    if (absent && !durable) {
      if (!(shared && this.#share(target, content, path))) this.#create(target, content, path);
      return this.#directories.syncAbove(directory);
    }
    const aside = asideOf(target);
    try {
      await this.#write(aside, content, durable, path);
      if (absent) {
        fs.linkSync(aside, target);
        fs.unlinkSync(aside);
      } else {
        fs.renameSync(aside, target);
      }
    } catch (error) {
      removeIfPossible(aside);
      if (isCode(error, 'EEXIST')) throw new ConditionFailedError(path);
      throw translate(error, path);
    }
    if (durable) await this.#directories.sync(directory);
  }

  /** Flushes all of them at the same time, and shows them one after the other. */
  async putAll(items: readonly PutItem[]): Promise<void> {
    const files = items.map(({ path, content }) => {
      const target = this.#root + path;
      return { path, content, target, aside: asideOf(target) };
    });
    let at = '/';
    try {
      const writes = files.map(async ({ path, content, target, aside }) => {
        at = path;
        this.#directories.makeFor(target, path);
        await this.#write(aside, content, true, path);
      });
      const failed = (await Promise.allSettled(writes)).find(({ status }) => status === 'rejected');
      if (failed?.status === 'rejected') throw failed.reason;
      for (const { path, target, aside } of files) {
        at = path;
        fs.renameSync(aside, target);
      }
    } catch (error) {
      for (const { aside } of files) removeIfPossible(aside);
      throw translate(error, at);
    }
    await this.#directories.sync(...files.map(({ target }) => dirname(target)));
  }

  /** As `LocalFiles.repeat`. */
  async repeat(from: string, to: string): Promise<boolean> {
    const target = this.#root + to;
    this.#directories.makeFor(target, to);
    try {
      fs.linkSync(this.#root + from, target);
      const now = Date.now() / 1000;
      fs.utimesSync(target, now, now);
    } catch (error) {
      if (UNLINKABLE.some((code) => isCode(error, code))) return false;
      throw translate(error, to);
    }
    await this.#directories.sync(dirname(target));
    return true;
  }

  /** Makes a file unless it is there. A reader may come between the file and its content. */
  #create(filename: string, content: Uint8Array | string, path: string): void {
    let fd: number;
    try {
      fd = this.#directories.open(filename, 'wx', path);
    } catch (error) {
      if (isCode(error, 'EEXIST')) throw new ConditionFailedError(path);
      throw translate(error, path);
    }
    try {
      fs.writeFileSync(fd, content);
    } catch (error) {
      removeIfPossible(filename);
      throw translate(error, path);
    } finally {
      fs.closeSync(fd);
    }
  }

  #share(filename: string, content: Uint8Array | string, path: string): boolean {
    try {
      return this.#shared.make(filename, content.toString());
    } catch (error) {
      if (isCode(error, 'EEXIST')) throw new ConditionFailedError(path);
      throw translate(error, path);
    }
  }

  async #write(
    filename: string,
    content: Uint8Array | string,
    durable: boolean,
    path: string,
  ): Promise<void> {
    const fd = this.#directories.open(filename, 'wx', path);
    try {
      fs.writeFileSync(fd, content);
      if (durable && this.#fsync) await flush(fd);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Compare-and-swap under a lock file, since POSIX has none of its own. */
  async #swap(
    path: string,
    content: Uint8Array | string,
    unchanged: Buffer,
    durable: boolean,
  ): Promise<void> {
    if (!readIfThere(this.#root + path)?.equals(unchanged)) throw new ConditionFailedError(path);
    const lock = `${this.#root}${path}.lock.tmp`;
    const deadline = Date.now() + LOCK_STALE_MS;
    while (!tryLock(lock)) {
      if (Date.now() > deadline) throw new ConditionFailedError(path);
      await new Promise((done) => setTimeout(done, 2));
    }
    try {
      if (!readIfThere(this.#root + path)?.equals(unchanged)) throw new ConditionFailedError(path);
      await this.put(path, content, { durable });
    } finally {
      fs.rmSync(lock, { force: true });
    }
  }
}

/** Where content is written before it is shown. */
function asideOf(target: string): string {
  return `${dirname(target)}/.${randomUUID()}.tmp`;
}

function readIfThere(filename: string): Buffer | undefined {
  try {
    return fs.readFileSync(filename);
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

function tryLock(filename: string): boolean {
  try {
    fs.closeSync(fs.openSync(filename, 'wx'));
    return true;
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw translate(error, filename);
    const stat = fs.statSync(filename, { throwIfNoEntry: false });
    if (stat && Date.now() - stat.mtimeMs > LOCK_STALE_MS) fs.rmSync(filename, { force: true });
    return false;
  }
}
