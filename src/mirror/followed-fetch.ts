import { type FileHandle, open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { ByteRange } from '../../storage/driver.ts';
import type { V1Image } from '../../storage/v1-images.ts';
import type { Fetching } from './layer-fetch.ts';

const CHUNK = 256 * 1024;
const LOOK_MS = 100;

export interface FollowedFetchParts {
  /** Where the other process has it land; undefined where its files can't be seen. */
  file: string | undefined;
  /** The image once it is stored. */
  kept(): Promise<V1Image | undefined>;
  /** A fetch of our own, once nobody else is at work. */
  takeOver(): Promise<Fetching | undefined>;
}

/**
 * A layer that another process fetches. What has come is read along from its file; the last byte comes from the store
 * only, where nothing lies that was not verified.
 */
export class FollowedFetch implements Fetching {
  readonly #parts: FollowedFetchParts;
  readonly stored: Promise<void>;
  #own: Fetching | undefined;
  #failure: unknown;

  constructor(parts: FollowedFetchParts) {
    this.#parts = parts;
    this.stored = this.#wait();
    this.stored.catch((error: unknown) => {
      this.#failure = error;
    });
  }

  async open(range: ByteRange): Promise<Readable> {
    return Readable.from(this.#follow(range), { objectMode: false });
  }

  async #wait(): Promise<void> {
    while (!(await this.#parts.kept())) {
      this.#own = await this.#parts.takeOver();
      if (this.#own) return this.#own.stored;
      await pause();
    }
  }

  async *#follow({ start, end }: ByteRange): AsyncGenerator<Buffer> {
    let at = start;
    let file: FileHandle | undefined;
    try {
      while (at <= end) {
        const kept = await this.#parts.kept();
        if (kept) return yield* await kept.layer.open({ start: at, end });
        // Another fetch may bring other bytes: what was sent already must be of the one that is verified.
        if (at === start && this.#own) return yield* await this.#own.open({ start, end });
        if (this.#failure) throw this.#failure;
        file ??= await this.#open();
        const chunk = file && (await readPart(file, at, end));
        if (chunk) {
          at += chunk.length;
          yield chunk;
        } else if (file && !(await this.#isCurrent(file))) {
          if (at > start && !(await this.#parts.kept())) throw new Error('the fetch broke off');
          await file.close();
          file = undefined;
        } else {
          await pause();
        }
      }
    } finally {
      await file?.close();
    }
  }

  async #open(): Promise<FileHandle | undefined> {
    if (this.#parts.file === undefined) return undefined;
    return open(this.#parts.file, 'r').catch(() => undefined);
  }

  /** Whether the file is still the one that is being written. */
  async #isCurrent(file: FileHandle): Promise<boolean> {
    const [now, ours] = await Promise.all([
      stat(this.#parts.file ?? '').catch(() => undefined),
      file.stat(),
    ]);
    return now?.ino === ours.ino;
  }
}

/** What has come of the range but for its last byte; undefined for nothing new. */
async function readPart(file: FileHandle, at: number, end: number): Promise<Buffer | undefined> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, end - at));
  const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
  return bytesRead > 0 ? buffer.subarray(0, bytesRead) : undefined;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
