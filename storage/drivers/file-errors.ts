import * as fs from 'node:fs';
import { PathNotFoundError, storageError } from '../errors.ts';

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

/** What a failed call on the file of `path` means to whoever asked for that path. */
export function translate(error: unknown, path: string): unknown {
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

/** For cleaning up after a failure, whose reason must not be hidden by another one. */
export function removeIfPossible(filename: string): void {
  try {
    fs.unlinkSync(filename);
  } catch {
    // What is left ends in .tmp, which nobody lists, or lies beside a blob and goes with it.
  }
}
