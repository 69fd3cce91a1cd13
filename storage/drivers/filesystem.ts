import * as fs from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
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
import { Directories } from './directories.ts';
import { isCode, removeIfPossible, translate } from './file-errors.ts';
import { FilePuts } from './file-puts.ts';
import { STEP_BYTES, sendFile } from './file-sender.ts';
import { collect, FlushError } from './file-writer.ts';
import { flushData } from './flush.ts';
import { WarmFiles } from './warm-files.ts';

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
  readonly #directories: Directories;
  readonly #puts: FilePuts;
  readonly #warm = new WarmFiles(STEP_BYTES);

  constructor(options: FilesystemOptions) {
    this.#root = resolve(options.root);
    this.#fsync = options.fsync ?? true;
    this.#directories = new Directories(this.#fsync);
    this.#puts = new FilePuts(this.#root, this.#fsync, this.#directories);
    this.local = {
      stamp: (path) => this.#stamp(path),
      get: (path) => this.#get(path),
      send: (path, range, out, begin) => this.#send(path, range, out, begin),
      filename: (path) => this.#at(path),
      link: (filename, path) => this.#link(filename, path),
      putAll: (items, last) => this.#puts.putAll(items, last),
      repeat: (from, to) => this.#puts.repeat(from, to),
      moveDirectory: (from, to, keep, shown) => this.#moveDirectory(from, to, keep, shown),
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

  put(path: string, content: Uint8Array | string, options?: PutOptions): Promise<void> {
    return this.#puts.put(path, content, options);
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
    const flags = fs.constants.O_WRONLY | fs.constants.O_APPEND;
    let fd: number;
    try {
      fd =
        offset === 0
          ? this.#directories.open(target, flags | fs.constants.O_CREAT, path)
          : fs.openSync(target, flags, 0o666);
    } catch (error) {
      throw translate(error, path);
    }
    try {
      if (fs.fstatSync(fd).size !== offset) throw new ConditionFailedError(path);
      const above = offset === 0 ? this.#directories.syncAbove(dirname(target)) : undefined;
      const [size] = await Promise.all([collect(source, fd, tap, this.#fsync), above]);
      return offset + size;
    } catch (error) {
      if (error instanceof FlushError) throw this.#lost(error.cause, path);
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
      throw this.#lost(error, path);
    } finally {
      fs.closeSync(fd);
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
    this.#directories.makeFor(target, to);
    try {
      fs.renameSync(this.#at(from), target);
    } catch (error) {
      throw translate(error, from);
    }
    await this.#directories.sync(dirname(target));
  }

  async delete(path: string, { durable = true }: DeleteOptions = {}): Promise<void> {
    const target = this.#at(path);
    const stat = fs.lstatSync(target, { throwIfNoEntry: false });
    if (!stat) return;
    try {
      if (!stat.isDirectory()) fs.unlinkSync(target);
      else await rm(target, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      if (!isCode(error, 'ENOENT')) throw translate(error, path);
    }
    this.#directories.forget(target);
    if (durable) await this.#directories.sync(dirname(target));
  }

  async close(): Promise<void> {
    this.#puts.close();
  }

  /** The kernel forgets what it could not write, and another flush would succeed without it: so the file goes. */
  #lost(error: unknown, path: string): unknown {
    removeIfPossible(this.#at(path));
    return translate(error, path);
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
      this.#directories.make(dirname(target));
      fs.linkSync(filename, target);
      return true;
    } catch (error) {
      if (REFUSED_LINKS.some((code) => isCode(error, code))) return false;
      throw translate(error, path);
    }
  }

  async #moveDirectory(
    from: string,
    to: string,
    keep: string,
    shown?: () => void,
  ): Promise<boolean> {
    const source = this.#at(from);
    const target = this.#at(to);
    const leftovers: string[] = [];
    try {
      for (const entry of fs.readdirSync(source, { withFileTypes: true })) {
        if (entry.isDirectory()) return false;
        if (entry.name !== keep) leftovers.push(entry.name);
      }
      this.#directories.make(dirname(target));
      fs.renameSync(source, target);
    } catch (error) {
      if (OCCUPIED.some((code) => isCode(error, code))) return false;
      throw translate(error, from);
    }
    for (const name of leftovers) removeIfPossible(join(target, name));
    this.#directories.forget(source);
    shown?.();
    await this.#directories.sync(target, dirname(target));
    return true;
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
}

function statIfThere(filename: string, path: string): fs.Stats | undefined {
  try {
    return fs.statSync(filename, { throwIfNoEntry: false });
  } catch (error) {
    throw translate(error, path);
  }
}
