import type { Readable } from 'node:stream';
import type {
  ByteRange,
  DeleteOptions,
  FileInfo,
  PutOptions,
  StorageDriver,
  Tap,
} from '../driver.ts';

/** One or more segments; neither `.` nor `..` is one. */
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]{1,255})+$/;

/** Throws when a path could leave the root or has a character that some backend cannot hold. */
function checkPath(path: string): string {
  if (path === '/' || PATH.test(path)) return path;
  throw invalid(path);
}

function invalid(path: string): Error {
  return new Error(`not a storage path: ${JSON.stringify(path)}`);
}

/**
 * A second wall behind the parsers: refuses every path that `paths.ts` could not have made. The synchronous looks
 * of a local driver pass through unchecked, since they only ever see paths made of checked names.
 */
export function checked(driver: StorageDriver): StorageDriver {
  const redirect = driver.redirectUrl?.bind(driver);
  const open = driver.open?.bind(driver);
  const close = driver.close?.bind(driver);
  return {
    name: driver.name,
    get: async (path: string) => driver.get(checkPath(path)),
    put: async (path: string, content: Uint8Array | string, options?: PutOptions) =>
      driver.put(checkPath(path), content, options),
    read: async (path: string, range?: ByteRange) => driver.read(checkPath(path), range),
    append: async (path: string, offset: number, source: Readable, tap?: Tap) =>
      driver.append(checkPath(path), offset, source, tap),
    commit: async (path: string) => driver.commit(checkPath(path)),
    stat: async (path: string): Promise<FileInfo> => driver.stat(checkPath(path)),
    list: (path: string) => driver.list(checkPath(path)),
    move: async (from: string, to: string) => driver.move(checkPath(from), checkPath(to)),
    delete: async (path: string, options?: DeleteOptions) =>
      driver.delete(checkPath(path), options),
    ...(redirect && {
      redirectUrl: async (path: string, request: { method: string }) =>
        redirect(checkPath(path), request),
    }),
    ...(driver.local && { local: driver.local }),
    ...(open && { open }),
    ...(close && { close }),
  };
}
