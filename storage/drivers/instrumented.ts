import type { Readable } from 'node:stream';
import type {
  ByteRange,
  DeleteOptions,
  FileInfo,
  PutOptions,
  StorageDriver,
  Tap,
} from '../driver.ts';

/** What a driver does, by distribution's names (v2.md 5.6). */
export type StorageAction =
  | 'GetContent'
  | 'PutContent'
  | 'Reader'
  | 'Writer'
  | 'Commit'
  | 'Stat'
  | 'List'
  | 'Move'
  | 'Delete'
  | 'RedirectURL';

/** Looks at one kind of action; `begin` gives whatever `end` needs, such as the time. */
export interface ActionObserver<Token> {
  begin(path: string): Token;
  /** `error` is undefined when the action succeeded. A missing path is an error like any other. */
  end(token: Token, error: unknown): void;
}

/**
 * The same driver, with every action observed. Observers are made once for each kind, so that an action costs two
 * calls. A `read` ends when its stream is open, a `list` with its last name. The synchronous looks of a local driver
 * take microseconds and are not observed.
 */
export function instrumented<Token>(
  driver: StorageDriver,
  observerOf: (action: StorageAction) => ActionObserver<Token>,
): StorageDriver {
  const redirect = driver.redirectUrl?.bind(driver);
  const open = driver.open?.bind(driver);
  const close = driver.close?.bind(driver);
  const get = observerOf('GetContent');
  const put = observerOf('PutContent');
  const read = observerOf('Reader');
  const append = observerOf('Writer');
  const commit = observerOf('Commit');
  const stat = observerOf('Stat');
  const list = observerOf('List');
  const move = observerOf('Move');
  const remove = observerOf('Delete');
  const redirectUrl = observerOf('RedirectURL');
  return {
    name: driver.name,
    get: (path: string) => observed(get, path, () => driver.get(path)),
    put: (path: string, content: Uint8Array | string, options?: PutOptions) =>
      observed(put, path, () => driver.put(path, content, options)),
    read: (path: string, range?: ByteRange) => observed(read, path, () => driver.read(path, range)),
    append: (path: string, offset: number, source: Readable, tap?: Tap) =>
      observed(append, path, () => driver.append(path, offset, source, tap)),
    commit: (path: string) => observed(commit, path, () => driver.commit(path)),
    stat: (path: string): Promise<FileInfo> => observed(stat, path, () => driver.stat(path)),
    list: (path: string) => observedList(list, driver, path),
    move: (from: string, to: string) => observed(move, from, () => driver.move(from, to)),
    delete: (path: string, options?: DeleteOptions) =>
      observed(remove, path, () => driver.delete(path, options)),
    ...(redirect && {
      redirectUrl: (path: string, request: { method: string }) =>
        observed(redirectUrl, path, () => redirect(path, request)),
    }),
    ...(driver.local && { local: driver.local }),
    ...(open && { open }),
    ...(close && { close }),
  };
}

async function observed<Token, T>(
  observer: ActionObserver<Token>,
  path: string,
  action: () => Promise<T>,
): Promise<T> {
  const token = observer.begin(path);
  try {
    const result = await action();
    observer.end(token, undefined);
    return result;
  } catch (error) {
    observer.end(token, error ?? new Error('failed without a reason'));
    throw error;
  }
}

async function* observedList<Token>(
  observer: ActionObserver<Token>,
  driver: StorageDriver,
  path: string,
): AsyncIterable<string> {
  const token = observer.begin(path);
  let failure: unknown;
  try {
    yield* driver.list(path);
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    observer.end(token, failure);
  }
}
