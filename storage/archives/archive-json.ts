import { storageError } from '../errors.ts';

/** JSON of an archive. Throws IMAGE_INVALID that names the file. */
export function parseArchiveJson(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (cause) {
    throw badArchive(`${name} is no JSON`, cause);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

export function badArchive(reason: string, cause?: unknown) {
  return storageError('IMAGE_INVALID', `the archive is broken: ${reason}`, {
    ...(cause !== undefined && { cause }),
  });
}
