import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { isCode, translate } from './file-errors.ts';
import { flush } from './flush.ts';

/** New directories of records that nobody flushes gather; past this many they are taken for written. */
const MAX_FRESH = 10_000;

/**
 * The directories of a tree: made where they are missing, and flushed, so that what was made in them is found again
 * after a power cut. Whoever needs a directory that another request has just made waits for its flush too.
 */
export class Directories {
  readonly #fsync: boolean;
  /** Made by us; their entry in the directory above may not be on the disk yet. */
  readonly #fresh = new Set<string>();

  /** Without `fsync` nothing is ever flushed. */
  constructor(fsync: boolean) {
    this.#fsync = fsync;
  }

  /** Makes the directory of a file, and its parents. `path` is what errors name. */
  makeFor(filename: string, path: string): void {
    try {
      this.make(dirname(filename));
    } catch (error) {
      throw translate(isCode(error, 'ENOENT') ? realReason(filename, error) : error, path);
    }
  }

  make(directory: string): void {
    if (fs.existsSync(directory)) return;
    const first = fs.mkdirSync(directory, { recursive: true });
    if (!this.#fsync || first === undefined) return;
    for (let at = directory; at.length >= first.length; at = dirname(at)) this.#fresh.add(at);
    if (this.#fresh.size > MAX_FRESH) this.#fresh.clear();
  }

  /** Opens a file in a directory that may be missing, or have been pruned by another process. */
  open(filename: string, flags: string | number, path: string, mode = 0o666): number {
    try {
      return fs.openSync(filename, flags, mode);
    } catch (error) {
      if (!isCode(error, 'ENOENT')) throw error;
      this.makeFor(filename, path);
      return fs.openSync(filename, flags, mode);
    }
  }

  /** Flushes directories in which something changed, and the parents of those that are new. */
  async sync(...changed: string[]): Promise<void> {
    if (!this.#fsync) return;
    const directories = new Set<string>();
    const settled: string[] = [];
    for (const directory of changed) {
      directories.add(directory);
      for (let at = directory; this.#fresh.has(at); at = dirname(at)) {
        directories.add(dirname(at));
        settled.push(at);
      }
    }
    await Promise.all([...directories].map(syncDirectory));
    for (const directory of settled) this.#fresh.delete(directory);
  }

  /**
   * For a directory that a power cut may take, with the one that holds it and others of its kind: only new ones above
   * those are flushed, for what else will lie in them. Undefined where none is, which is nearly always.
   */
  syncAbove(directory: string): Promise<void> | undefined {
    const kept = dirname(dirname(directory));
    if (!this.#fresh.has(kept)) return undefined;
    return this.sync(dirname(kept)).then(() => this.forget(kept));
  }

  /** Says that a directory is gone. */
  forget(directory: string): void {
    this.#fresh.delete(directory);
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
