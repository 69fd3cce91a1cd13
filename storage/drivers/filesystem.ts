import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { opendir, rm } from 'node:fs/promises';
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
import { ConditionFailedError, PathNotFoundError } from '../errors.ts';
import {
  flush,
  flushData,
  makeDirectory,
  makeDirectoryFor,
  syncDirectories,
  syncDirectory,
} from './directories.ts';
import { isCode, translate } from './file-errors.ts';
import { sendFile } from './file-sender.ts';
import { collect } from './file-writer.ts';
import { SharedContent } from './shared-content.ts';

export interface FilesystemOptions {
  /** The directory that holds everything; made when it is missing. */
  root: string;
  /** False answers before bytes are on disk: faster, and a power cut may lose what was answered. Default true. */
  fsync?: boolean;
}

/** What `link` may fail with where copying will do. */
const REFUSED_LINKS = ['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'EEXIST', 'EROFS', 'ENOTSUP'];

/** What `rename` fails with where a directory cannot take the place of what is there. */
const OCCUPIED = ['ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EXDEV'];

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
  readonly #shared: SharedContent;

  constructor(options: FilesystemOptions) {
    this.#root = resolve(options.root);
    this.#fsync = options.fsync ?? true;
    this.#shared = new SharedContent(this.#root);
    this.local = {
      stamp: (path) => this.#stamp(path),
      get: (path) => this.#get(path),
      send: (path, range, out, begin) => this.#send(path, range, out, begin),
      filename: (path) => this.#at(path),
      link: (filename, path) => this.#link(filename, path),
      moveDirectory: (from, to, spare) => this.#moveDirectory(from, to, spare),
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
    const { condition, durable = true, shared } = options;
    if (typeof condition === 'object') {
      return this.#swap(path, content, condition.unchanged, durable);
    }
    const target = this.#at(path);
    const made = makeDirectoryFor(target, path);
    if (condition === 'absent' && !durable) {
      if (shared && this.#share(target, content, path)) return;
      return create(target, content, path);
    }
    const aside = join(dirname(target), `.${randomUUID()}.tmp`);
    try {
      await this.#write(aside, content, durable);
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
    if (durable && this.#fsync) await syncDirectories(dirname(target), made);
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
    const fd = openForAppend(target, offset === 0, path);
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
    let fd: number;
    try {
      fd = fs.openSync(this.#at(path), 'r+');
    } catch (error) {
      throw translate(error, path);
    }
    try {
      await flushData(fd);
    } catch (error) {
      throw translate(error, path);
    } finally {
      fs.closeSync(fd);
    }
  }

  async stat(path: string): Promise<FileInfo> {
    const stat = fs.statSync(this.#at(path), { throwIfNoEntry: false });
    if (!stat) throw new PathNotFoundError(path);
    const directory = stat.isDirectory();
    return { size: directory ? 0 : stat.size, modified: stat.mtimeMs, directory };
  }

  async *list(path: string): AsyncIterable<string> {
    const names: string[] = [];
    try {
      for await (const entry of await opendir(this.#at(path), { bufferSize: 512 })) {
        const unfinished = entry.name.endsWith('.tmp') && !entry.isDirectory();
        if (!unfinished) names.push(entry.name);
      }
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return;
      throw error;
    }
    yield* names.sort();
  }

  async move(from: string, to: string): Promise<void> {
    const target = this.#at(to);
    const made = makeDirectoryFor(target, to);
    try {
      fs.renameSync(this.#at(from), target);
    } catch (error) {
      throw translate(error, from);
    }
    if (this.#fsync) await syncDirectories(dirname(target), made);
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
    if (durable && this.#fsync) await syncDirectory(dirname(target));
  }

  async close(): Promise<void> {
    this.#shared.close();
  }

  #at(path: string): string {
    return path === '/' ? this.#root : this.#root + path;
  }

  #stamp(path: string): FileStamp | undefined {
    const stat = fs.statSync(this.#root + path, { throwIfNoEntry: false });
    return stat && { inode: stat.ino, modified: stat.mtimeMs, size: stat.size };
  }

  #get(path: string): Buffer | undefined {
    try {
      return fs.readFileSync(this.#root + path);
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return undefined;
      throw error;
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
      await sendFile(fd, range, out);
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

  async #moveDirectory(from: string, to: string, spare: readonly string[]): Promise<boolean> {
    const target = this.#at(to);
    let made: string | undefined;
    try {
      made = renameDirectory(this.#at(from), target);
    } catch (error) {
      if (OCCUPIED.some((code) => isCode(error, code))) return false;
      throw translate(error, from);
    }
    for (const name of spare) removeIfPossible(join(target, name));
    if (this.#fsync) {
      await Promise.all([syncDirectory(target), syncDirectories(dirname(target), made)]);
    }
    return true;
  }

  #share(filename: string, content: Uint8Array | string, path: string): boolean {
    try {
      return this.#shared.make(filename, content.toString());
    } catch (error) {
      if (isCode(error, 'EEXIST')) throw new ConditionFailedError(path);
      throw translate(error, path);
    }
  }

  async #write(filename: string, content: Uint8Array | string, durable: boolean): Promise<void> {
    const fd = fs.openSync(filename, 'wx', 0o666);
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
    if (!this.#get(path)?.equals(unchanged)) throw new ConditionFailedError(path);
    const lock = `${this.#at(path)}.lock.tmp`;
    const deadline = Date.now() + LOCK_STALE_MS;
    while (!tryLock(lock)) {
      if (Date.now() > deadline) throw new ConditionFailedError(path);
      await new Promise((done) => setTimeout(done, 2));
    }
    try {
      if (!this.#get(path)?.equals(unchanged)) throw new ConditionFailedError(path);
      await this.put(path, content, { durable });
    } finally {
      fs.rmSync(lock, { force: true });
    }
  }
}

/** Makes a file unless it is there. A reader may come between the file and its content. */
function create(filename: string, content: Uint8Array | string, path: string): void {
  let fd: number;
  try {
    fd = fs.openSync(filename, 'wx', 0o666);
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

/** Opens a file at its end; a new one may need its directory. */
function openForAppend(filename: string, fresh: boolean, path: string, again = fresh): number {
  const flags = fs.constants.O_WRONLY | fs.constants.O_APPEND;
  try {
    return fs.openSync(filename, fresh ? flags | fs.constants.O_CREAT : flags, 0o666);
  } catch (error) {
    if (!(again && isCode(error, 'ENOENT'))) throw translate(error, path);
  }
  makeDirectoryFor(filename, path);
  return openForAppend(filename, fresh, path, false);
}

/** Renames a directory; gives the topmost directory that was made for it. */
function renameDirectory(from: string, to: string): string | undefined {
  const made = makeDirectory(dirname(to));
  fs.renameSync(from, to);
  return made;
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
