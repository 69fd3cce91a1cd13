import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { type FileHandle, open, readdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import type {
  ByteRange,
  DeleteOptions,
  FileInfo,
  FileStamp,
  LocalFiles,
  PutOptions,
  StorageDriver,
  Tap,
} from '../driver.ts';
import { ConditionFailedError, PathNotFoundError, storageError } from '../errors.ts';
import { STEP_BYTES, sendFile } from './file-sender.ts';
import { collect } from './file-writer.ts';
import { WarmFiles } from './warm-files.ts';

export interface FilesystemOptions {
  /** The directory that holds everything; made when it is missing. */
  root: string;
  /** False answers before bytes are on disk: faster, and a power cut may lose what was answered. Default true. */
  fsync?: boolean;
}

/** What `link` may fail with where copying will do. */
const REFUSED_LINKS = ['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'EEXIST', 'EROFS', 'ENOTSUP'];

/** A lock file for compare-and-swap that nobody released within this time belongs to a dead process. */
const LOCK_STALE_MS = 10_000;

/**
 * Content in a directory tree. Every write goes aside, is flushed, and is renamed into place; directories are
 * flushed too. Small metadata calls are synchronous: on a local disk they take microseconds, and the thread pool
 * costs a hundred of them.
 */
export class FilesystemDriver implements StorageDriver {
  readonly name = 'filesystem';
  readonly local: LocalFiles;
  readonly #root: string;
  readonly #fsync: boolean;
  readonly #warm = new WarmFiles(STEP_BYTES);

  constructor(options: FilesystemOptions) {
    this.#root = resolve(options.root);
    this.#fsync = options.fsync ?? true;
    this.local = {
      stamp: (path) => this.#stamp(path),
      get: (path) => this.#get(path),
      send: (path, range, out, begin) => this.#send(path, range, out, begin),
      filename: (path) => this.#at(path),
      link: (filename, path) => this.#link(filename, path),
      prune: (path, top) => this.#prune(path, top),
    };
  }

  async get(path: string): Promise<Buffer> {
    try {
      return fs.readFileSync(this.#at(path));
    } catch (error) {
      throw translate(error, path);
    }
  }

  async put(path: string, content: Uint8Array | string, options: PutOptions = {}): Promise<void> {
    const { condition, durable = true, secret = false } = options;
    if (typeof condition === 'object') {
      return this.#swap(path, content, condition.unchanged, { durable, secret });
    }
    const target = this.#at(path);
    const made = makeDirectoryFor(target, path);
    const aside = join(dirname(target), `.${randomUUID()}.tmp`);
    try {
      await this.#write(aside, content, durable, secret ? 0o600 : 0o666);
      if (condition === 'absent') {
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
    if (durable) await this.#syncDirectories(dirname(target), made);
  }

  async read(path: string, range?: ByteRange): Promise<Readable> {
    let fd: number;
    try {
      fd = fs.openSync(this.#at(path), 'r');
    } catch (error) {
      throw translate(error, path);
    }
    if (range && range.end < range.start) {
      fs.closeSync(fd);
      return Readable.from([]);
    }
    return fs.createReadStream('', { fd, highWaterMark: 256 * 1024, ...range });
  }

  async append(path: string, offset: number, source: Readable, tap?: Tap): Promise<number> {
    const target = this.#at(path);
    if (offset === 0) makeDirectoryFor(target, path);
    let fd: number;
    try {
      const flags = fs.constants.O_WRONLY | fs.constants.O_APPEND;
      fd =
        offset === 0
          ? openMade(target, flags | fs.constants.O_CREAT)
          : fs.openSync(target, flags, 0o666);
    } catch (error) {
      throw translate(error, path);
    }
    try {
      if (fs.fstatSync(fd).size !== offset) throw new ConditionFailedError(path);
      return offset + (await collect(source, fd, tap));
    } catch (error) {
      throw translate(error, path);
    } finally {
      fs.closeSync(fd);
    }
  }

  async commit(path: string): Promise<void> {
    if (!this.#fsync) {
      await this.stat(path);
      return;
    }
    let file: FileHandle | undefined;
    try {
      file = await open(this.#at(path), 'r+');
      await file.datasync();
    } catch (error) {
      throw translate(error, path);
    } finally {
      await file?.close();
    }
  }

  async stat(path: string): Promise<FileInfo> {
    const stat = statIfThere(this.#at(path), path);
    if (!stat) throw new PathNotFoundError(path);
    const directory = stat.isDirectory();
    return { size: directory ? 0 : stat.size, modified: stat.mtimeMs, directory };
  }

  async *list(path: string): AsyncIterable<string> {
    let names: string[];
    try {
      names = await readdir(this.#at(path));
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return;
      throw translate(error, path);
    }
    const isWhole = (name: string) =>
      !name.endsWith('.tmp') || this.#isDirectory(`${path}/${name}`);
    yield* names.filter(isWhole).sort();
  }

  async move(from: string, to: string): Promise<void> {
    const target = this.#at(to);
    const made = makeDirectoryFor(target, to);
    try {
      fs.renameSync(this.#at(from), target);
    } catch (error) {
      throw translate(error, from);
    }
    await this.#syncDirectories(dirname(target), made);
  }

  async delete(path: string, { durable = true }: DeleteOptions = {}): Promise<void> {
    const target = this.#at(path);
    const stat = fs.lstatSync(target, { throwIfNoEntry: false });
    if (!stat) return;
    try {
      if (!stat.isDirectory()) fs.rmSync(target, { force: true });
      else await rm(target, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      throw translate(error, path);
    }
    if (durable) await this.#syncDirectories(dirname(target), undefined);
  }

  #at(path: string): string {
    return path === '/' ? this.#root : this.#root + path;
  }

  #stamp(path: string): FileStamp | undefined {
    const stat = statIfThere(this.#root + path, path);
    return stat && { inode: stat.ino, modified: stat.mtimeMs, size: stat.size };
  }

  #isDirectory(path: string): boolean {
    return fs.lstatSync(this.#at(path), { throwIfNoEntry: false })?.isDirectory() ?? false;
  }

  #get(path: string): Buffer | undefined {
    try {
      return fs.readFileSync(this.#root + path);
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return undefined;
      throw translate(error, path);
    }
  }

  async #send(path: string, range: ByteRange, out: Writable, begin: () => void): Promise<void> {
    let fd: number;
    try {
      fd = fs.openSync(this.#root + path, 'r');
    } catch (error) {
      throw translate(error, path);
    }
    try {
      begin();
      await sendFile(fd, range, out, this.#warm, path);
    } finally {
      fs.closeSync(fd);
    }
  }

  #link(filename: string, path: string): boolean {
    const target = this.#at(path);
    try {
      // A symbolic link would be linked itself, and content that can't be written can't be flushed either.
      if (!fs.lstatSync(filename).isFile()) return false;
      fs.accessSync(filename, fs.constants.R_OK | fs.constants.W_OK);
      makeDirectory(dirname(target));
      fs.linkSync(filename, target);
      return true;
    } catch (error) {
      if (REFUSED_LINKS.some((code) => isCode(error, code))) return false;
      throw translate(error, path);
    }
  }

  #prune(path: string, top: string): void {
    try {
      for (
        let at = path;
        at === top || at.startsWith(`${top}/`);
        at = at.slice(0, at.lastIndexOf('/'))
      ) {
        fs.rmdirSync(this.#root + at);
      }
    } catch {
      // Whatever keeps a directory keeps those above it.
    }
  }

  async #write(
    filename: string,
    content: Uint8Array | string,
    durable: boolean,
    mode: number,
  ): Promise<void> {
    const fd = openMade(filename, 'wx', mode);
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
    const lock = `${this.#at(path)}.lock.tmp`;
    makeDirectoryFor(lock, path);
    const deadline = Date.now() + LOCK_STALE_MS;
    while (!tryLock(lock)) {
      if (Date.now() > deadline) throw new ConditionFailedError(path);
      await new Promise((done) => setTimeout(done, 2));
    }
    try {
      if (!this.#get(path)?.equals(unchanged)) throw new ConditionFailedError(path);
      await this.put(path, content, options);
    } finally {
      fs.rmSync(lock, { force: true });
    }
  }

  /** Flushes a directory and the parents of those that were made for it. */
  async #syncDirectories(directory: string, firstMade: string | undefined): Promise<void> {
    if (!this.#fsync) return;
    const directories = [directory];
    if (firstMade) {
      for (let at = directory; at.length >= firstMade.length; at = dirname(at)) {
        directories.push(dirname(at));
      }
    }
    await Promise.all(directories.map(syncDirectory));
  }
}

function statIfThere(filename: string, path: string): fs.Stats | undefined {
  try {
    return fs.statSync(filename, { throwIfNoEntry: false });
  } catch (error) {
    throw translate(error, path);
  }
}

/** Makes a directory and its parents; gives the topmost that was new. */
function makeDirectory(directory: string): string | undefined {
  if (fs.existsSync(directory)) return undefined;
  return fs.mkdirSync(directory, { recursive: true });
}

/** Opens a file in a directory that was just made, and may have been pruned again by another process. */
function openMade(filename: string, flags: string | number, mode = 0o666): number {
  try {
    return fs.openSync(filename, flags, mode);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
    makeDirectory(dirname(filename));
    return fs.openSync(filename, flags, mode);
  }
}

function makeDirectoryFor(filename: string, path: string): string | undefined {
  try {
    return makeDirectory(dirname(filename));
  } catch (error) {
    throw translate(isCode(error, 'ENOENT') ? realReason(filename, error) : error, path);
  }
}

/** Node says ENOENT for a recursive mkdir on a read-only disk; a plain one in the nearest parent says why. */
function realReason(filename: string, fallback: unknown): unknown {
  let missing = dirname(filename);
  while (missing !== dirname(missing) && !fs.existsSync(dirname(missing)))
    missing = dirname(missing);
  try {
    fs.mkdirSync(missing);
    return fallback;
  } catch (error) {
    return error;
  }
}

/** For cleaning up after a failure, whose reason must not be hidden by another one. */
function removeIfPossible(filename: string): void {
  try {
    fs.rmSync(filename, { force: true });
  } catch {
    // What is left ends in .tmp, which nobody lists.
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

function flush(fd: number): Promise<void> {
  return new Promise((done, failed) => {
    fs.fsync(fd, (error) => (error ? failed(error) : done()));
  });
}

interface DirectoryFlush {
  running: Promise<void>;
  next?: Promise<void>;
}

const flushes = new Map<string, DirectoryFlush>();

/** Commits into one directory that come while a flush runs share the one that starts after it. */
function syncDirectory(directory: string): Promise<void> {
  const current = flushes.get(directory);
  if (current) {
    current.next ??= current.running
      .catch(() => undefined)
      .then(() => {
        flushes.delete(directory);
        return syncDirectory(directory);
      });
    return current.next;
  }
  const entry: DirectoryFlush = { running: flushDirectory(directory) };
  flushes.set(directory, entry);
  const settle = () => {
    if (!entry.next) flushes.delete(directory);
  };
  entry.running.then(settle, settle);
  return entry.running;
}

async function flushDirectory(directory: string): Promise<void> {
  let fd: number;
  try {
    fd = fs.openSync(directory, 'r');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw error;
  }
  try {
    await flush(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

function translate(error: unknown, path: string): unknown {
  if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR') || isCode(error, 'EISDIR')) {
    return new PathNotFoundError(path, error);
  }
  if (isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')) {
    return storageError('STORAGE_FULL', 'the storage of this registry is full; try again later', {
      cause: error,
    });
  }
  if (isCode(error, 'EROFS')) {
    return unwritable('is read-only at the moment; try again later', error);
  }
  if (isCode(error, 'EACCES') || isCode(error, 'EPERM')) {
    return unwritable('refuses its own user, who may not write or read it', error);
  }
  return error;
}

function unwritable(why: string, cause: unknown): unknown {
  return storageError('STORAGE_UNWRITABLE', `the storage of this registry ${why}`, { cause });
}
