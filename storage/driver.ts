import type { Readable, Writable } from 'node:stream';

export interface FileInfo {
  /** Bytes; 0 for a directory. */
  size: number;
  /** Milliseconds since the epoch. */
  modified: number;
  directory: boolean;
}

/** Bytes `start` to `end`, both inclusive, as in HTTP. */
export interface ByteRange {
  start: number;
  end: number;
}

/** Looks at each chunk as it passes; a promise holds the stream back until it settles. Errors end the append. */
export type Tap = (chunk: Buffer) => void | Promise<void>;

export interface PutOptions {
  /**
   * `absent`: only if nothing is stored there. `unchanged`: only if the content is still exactly these bytes.
   * Otherwise ConditionFailedError. Of several racing writers exactly one wins.
   */
  condition?: 'absent' | { unchanged: Buffer };
  /**
   * False skips the flush to disk, for what may be lost with a crash (locks, hints). Default true. With `absent`, a
   * reader may then see the new path for a moment without its content.
   */
  durable?: boolean;
  /** True for keys: where content lies in files, no other user may read it. Default false. */
  secret?: boolean;
  /**
   * True for what many paths hold alike and for a short time. With `absent` and no durability, the new path may then
   * look up to five seconds older than it is.
   */
  shared?: boolean;
  /**
   * What must have happened before anybody sees the new content, which is written and flushed meanwhile. When it fails
   * nothing is stored, and `put` fails with its error.
   */
  after?: Promise<unknown>;
}

export interface PutItem {
  path: string;
  content: Uint8Array | string;
  /** True where files of the same content in one call may be one inode. Default false. */
  alike?: boolean;
}

export interface DeleteOptions {
  /** False skips the flush to disk, for what a restart may find again without harm. Default true. */
  durable?: boolean;
}

/**
 * Where content is kept. Paths are absolute, `/`-separated, made by `paths.ts` only; each segment matches
 * `[A-Za-z0-9._~-]+` and is neither `.` nor `..` (`checked` enforces it).
 * A missing path is always a PathNotFoundError. No method leaves a handle open behind it.
 * The contract is `test/support/driver-suite.ts`.
 */
export interface StorageDriver {
  readonly name: string;
  /** Makes sure that the store can be used. Throws an Error that says what to change. */
  open?(): Promise<void>;
  /** Small content, whole. */
  get(path: string): Promise<Buffer>;
  /** Replaces the content at `path` atomically: a reader sees the old bytes or the new, never a mixture. */
  put(path: string, content: Uint8Array | string, options?: PutOptions): Promise<void>;
  /** Streams the bytes at `path`. The caller has checked that the range lies within the size. */
  read(path: string, range?: ByteRange): Promise<Readable>;
  /**
   * Adds the bytes of `source` at the end of `path`, which must stand at `offset` (0 creates it), and gives the new
   * size. Whatever arrived before the source failed stays. Not yet durable: `commit` makes it so.
   */
  append(path: string, offset: number, source: Readable, tap?: Tap): Promise<number>;
  /** Makes the appended bytes durable. */
  commit(path: string): Promise<void>;
  stat(path: string): Promise<FileInfo>;
  /** Names of the direct children in byte order; nothing for a missing path. */
  list(path: string): AsyncIterable<string>;
  /** Moves a file onto `to`, replacing it, durably. */
  move(from: string, to: string): Promise<void>;
  /** Removes a file or a whole directory; a missing path is no error. */
  delete(path: string, options?: DeleteOptions): Promise<void>;
  /** A URL from which the client may fetch the content itself, where the backend can give one. */
  redirectUrl?(path: string, request: { method: string }): Promise<URL | undefined>;
  /** Present where content lies in local files: cheap synchronous looks for hot paths. */
  readonly local?: LocalFiles;
  close?(): Promise<void>;
}

/** A stamp that differs whenever a file may have changed. */
export interface FileStamp {
  inode: number;
  /** Milliseconds since the epoch. */
  modified: number;
  size: number;
}

/** Synchronous looks at local files: a few microseconds each, where the thread pool costs a hundred. */
export interface LocalFiles {
  /** The stamp of a file or directory, or undefined when there is none. */
  stamp(path: string): FileStamp | undefined;
  /** Small content, whole, or undefined when there is none. */
  get(path: string): Buffer | undefined;
  /**
   * Writes the bytes of a range to a stream that takes them as they are, faster than `read` could. Throws
   * PathNotFoundError before it calls `begin`, which it does before anything is written; the stream is not ended.
   */
  send(path: string, range: ByteRange, out: Writable, begin: () => void): Promise<void>;
  /** The name of the file that holds the content, for servers that send files themselves (X-Accel-Redirect). */
  filename(path: string): string;
  /**
   * Makes a file outside of the store the content at `path` by a hard link. False, and nothing is done, where that
   * can't be: on another file system, over something stored, or without the right to it.
   */
  link?(filename: string, path: string): boolean;
  /**
   * Puts all of them, durably, for about the time of one. None is seen before those that stand ahead of it, but a power
   * cut may keep a later one without an earlier one; those of `last` are only shown once all others are durable.
   */
  putAll?(items: readonly PutItem[], last?: readonly PutItem[]): Promise<void>;
  /**
   * Shows small content that is stored durably at another path as well, durably, as written now. False, and nothing is
   * done, where something lies there or files can't share an inode. It costs less than to put the content again.
   */
  repeat?(from: string, to: string): Promise<boolean>;
  /**
   * Makes a directory the directory `to`, durably, and removes every file in it but `keep`. False, and nothing is done,
   * where something lies at `to`, or another directory in this one. To move its one file alone would cost a directory
   * made and another removed. Calls `shown` once it is there for all to see, before that is durable.
   */
  moveDirectory?(from: string, to: string, keep: string, shown?: () => void): Promise<boolean>;
  /** Removes a directory if nothing is in it, and so those above it, up to and with `top`. */
  prune?(path: string, top: string): void;
}
