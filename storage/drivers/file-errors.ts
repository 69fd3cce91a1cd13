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
  // As full as a full disk to whoever wants to write: RFC 4918 11.5 asks only that it can't be stored.
  if (isCode(error, 'EROFS')) {
    return storageError('STORAGE_FULL', 'the storage of this registry is read-only at the moment', {
      cause: error,
    });
  }
  return error;
}
