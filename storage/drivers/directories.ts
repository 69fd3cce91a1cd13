import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { isCode, translate } from './file-errors.ts';

/** Makes the directory of a file, and its parents; gives the topmost that was new. */
export function makeDirectoryFor(filename: string, path: string): string | undefined {
  try {
    return makeDirectory(dirname(filename));
  } catch (error) {
    throw translate(isCode(error, 'ENOENT') ? realReason(filename, error) : error, path);
  }
}

/** Makes a directory and its parents; gives the topmost that was new. */
export function makeDirectory(directory: string): string | undefined {
  if (fs.existsSync(directory)) return undefined;
  return fs.mkdirSync(directory, { recursive: true });
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

/** Flushes a directory and the parents of those that were made for it. */
export async function syncDirectories(
  directory: string,
  firstMade: string | undefined,
): Promise<void> {
  const flushing = [syncDirectory(directory)];
  if (firstMade) {
    for (let at = directory; at.length >= firstMade.length; at = dirname(at)) {
      flushing.push(syncDirectory(dirname(at)));
    }
  }
  await Promise.all(flushing);
}

interface DirectoryFlush {
  running: Promise<void>;
  next?: Promise<void>;
}

const flushes = new Map<string, DirectoryFlush>();

/** Commits into one directory that come while a flush runs share the one that starts after it. */
export function syncDirectory(directory: string): Promise<void> {
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

/** Waits until all that was written to an open file or directory is on the disk. */
export function flush(fd: number): Promise<void> {
  return new Promise((done, failed) => {
    fs.fsync(fd, (error) => (error ? failed(error) : done()));
  });
}

/** As `flush`, without what only tells when a file was written. */
export function flushData(fd: number): Promise<void> {
  return new Promise((done, failed) => {
    fs.fdatasync(fd, (error) => (error ? failed(error) : done()));
  });
}
