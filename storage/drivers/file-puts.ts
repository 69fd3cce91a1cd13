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
    const { condition, durable = true, shared = false, secret = false, after } = options;
    const mode = secret ? 0o600 : 0o666;
    if (condition === 'absent' && durable) {
      return this.#putOne(path, content, { absent: true, durable, mode, after });
    }
    if (condition === undefined && durable) {
      return this.#putAll([{ path, content }], [], { mode, after });
    }
    if (after !== undefined) await after;
    if (typeof condition === 'object') {
      return this.#swap(path, content, condition.unchanged, { durable, secret });
    }
    if (condition === 'absent') return this.#claim(path, content, shared, mode);
    return this.#putOne(path, content, { absent: false, durable, mode });
  }

  /** Makes a file of what may be lost, unless one is there. */
  async #claim(
    path: string,
    content: Uint8Array | string,
    shared: boolean,
    mode: number,
  ): Promise<void> {
    const target = this.#root + path;
    this.#directories.makeFor(target, path);
    if (!(shared && this.#share(target, content, path))) this.#create(target, content, path, mode);
    await this.#directories.syncAbove(dirname(target));
  }

  async #putOne(
    path: string,
    content: Uint8Array | string,
    options: {
      absent: boolean;
      durable: boolean;
      mode: number;
      after?: Promise<unknown> | undefined;
    },
  ): Promise<void> {
    const { absent, durable, mode, after } = options;
    const target = this.#root + path;
    const aside = asideOf(target);
    try {
      const written = this.#write(aside, content, path, { durable, mode });
      await allSettled(after === undefined ? [written] : [written, after]);
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
    if (durable) await this.#directories.sync(dirname(target));
  }

  /** As `LocalFiles.putAll`. */
  putAll(items: readonly PutItem[], last: readonly PutItem[] = []): Promise<void> {
    return this.#putAll(items, last, { mode: 0o666 });
  }

  /** Flushes all files at the same time, and shows them one after the other. */
  async #putAll(
    items: readonly PutItem[],
    last: readonly PutItem[],
    { mode, after }: { mode: number; after?: Promise<unknown> | undefined },
  ): Promise<void> {
    const files = [...items, ...last].map((item) => {
      const target = this.#root + item.path;
      return { ...item, target, aside: asideOf(target) };
    });
    let at = '/';
    const show = async (shown: typeof files) => {
      for (const { path, target, aside } of shown) {
        at = path;
        fs.renameSync(aside, target);
      }
      await this.#directories.sync(...shown.map(({ target }) => dirname(target)));
    };
    const written = new Map<PutItem['content'], string>();
    try {
      const writes = files.map(async ({ path, content, alike, target, aside }) => {
        at = path;
        this.#directories.makeFor(target, path);
        const same = alike ? written.get(content) : undefined;
        if (same !== undefined && linkIfPossible(same, aside)) return;
        if (alike) written.set(content, aside);
        await this.#write(aside, content, path, { durable: true, mode });
      });
      await allSettled(after === undefined ? writes : [...writes, after]);
      await show(files.slice(0, items.length));
      if (last.length > 0) await show(files.slice(items.length));
    } catch (error) {
      for (const { aside } of files) removeIfPossible(aside);
      throw translate(error, at);
    }
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
  #create(filename: string, content: Uint8Array | string, path: string, mode: number): void {
    let fd: number;
    try {
      fd = this.#directories.open(filename, 'wx', path, mode);
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
    path: string,
    { durable, mode }: { durable: boolean; mode: number },
  ): Promise<void> {
    const fd = this.#directories.open(filename, 'wx', path, mode);
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
    options: PutOptions,
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
      await this.put(path, content, options);
    } finally {
      fs.rmSync(lock, { force: true });
    }
  }
}

/** Fails with the first error, but only once all have come to an end. */
async function allSettled(promises: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(promises)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}

/** Gives a file a second name; false where that can't be. */
function linkIfPossible(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if (UNLINKABLE.some((code) => isCode(error, code))) return false;
    throw error;
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
