import { rmSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createPayloadHash } from '../../storage/bridge/payload-checksum.ts';
import type { ByteRange } from '../../storage/driver.ts';
import type { RepositoryName } from '../../storage/names.ts';
import type { MirrorCounts } from './mirror-counts.ts';
import type { UpstreamClient } from './upstream-client.ts';
import type { UpstreamImage } from './upstream-images.ts';

const CHUNK = 256 * 1024;
/** How often a layer that broke off is asked for again from where it stands. */
const MOST_RESUMPTIONS = 3;

/** A layer that is being fetched, by whomever. */
export interface Fetching {
  /** Settles once the layer has arrived and was stored, or why not. */
  readonly stored: Promise<void>;
  /** The bytes of the range, as they come. Fails when the fetch does. */
  open(range: ByteRange): Promise<Readable>;
}

/** Where a layer comes from and goes to. */
export interface LayerFetchParts {
  client: UpstreamClient;
  counts: MirrorCounts;
  through(): Promise<readonly RepositoryName[]>;
  /** Where it lands; what lies there is of a fetch that was killed. */
  file: string;
  /** Is given the verified file, which goes when it has settled. */
  store(file: string): Promise<void>;
}

/**
 * One layer on its way from upstream: it lands in a file, from which every client that waits for it reads along. The
 * last byte of each answer is held back until the whole layer was verified, so that nobody takes a false one for good.
 */
export class LayerFetch implements Fetching {
  readonly #image: UpstreamImage;
  readonly #parts: LayerFetchParts;
  readonly stored: Promise<void>;
  readonly #out: Promise<FileHandle>;
  #got = 0;
  #verified = false;
  #failure: Error | undefined;
  #waiting: (() => void)[] = [];

  /** Begins at once. */
  constructor(image: UpstreamImage, parts: LayerFetchParts) {
    this.#image = image;
    this.#parts = parts;
    rmSync(parts.file, { force: true });
    this.#out = open(parts.file, 'wx+');
    this.stored = this.#run();
    this.stored.catch(() => undefined);
  }

  async open(range: ByteRange): Promise<Readable> {
    await this.#out;
    const file = await open(this.#parts.file, 'r');
    return Readable.from(this.#follow(file, range), { objectMode: false });
  }

  async #run(): Promise<void> {
    const { file, store } = this.#parts;
    try {
      const out = await this.#out;
      await this.#receive(out).finally(() => out.close());
      this.#verified = true;
      this.#tell();
      await store(file);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#tell();
      throw error;
    } finally {
      await rm(file, { force: true });
    }
  }

  async #receive(out: FileHandle): Promise<void> {
    const { json, size, payload } = this.#image;
    const hash = createPayloadHash(json);
    for (let resumptions = 0; ; resumptions += 1) {
      const before = this.#got;
      try {
        for await (const chunk of await this.#ask()) {
          hash.update(chunk);
          await out.appendFile(chunk);
          this.#got += chunk.length;
          this.#parts.counts.pulledBytes.blob += chunk.length;
          if (size !== undefined && this.#got > size) throw tooLong(size);
          this.#tell();
        }
        if (size === undefined || this.#got === size) break;
        throw new Error(`the layer ended after ${this.#got} of ${size} bytes`);
      } catch (error) {
        const hopeless = size === undefined || this.#got > size || this.#got === before;
        if (hopeless || resumptions === MOST_RESUMPTIONS) throw error;
      }
    }
    if (payload !== undefined && `sha256:${hash.digest('hex')}` !== payload) {
      throw new Error('the layer from upstream does not match its checksum');
    }
  }

  /** The layer from where it stands. */
  async #ask(): Promise<AsyncIterable<Uint8Array>> {
    if (this.#image.size === 0) return Readable.from([]);
    const from = this.#got;
    const path = `/v1/images/${this.#image.id}/layer`;
    const range = from > 0 ? { range: `bytes=${from}-` } : {};
    const { client, through } = this.#parts;
    const answer = await client.open('source', path, { headers: range, through });
    if (!answer) throw new Error('upstream has no layer of this image');
    const start = /^(?:bytes )?(\d+)-/.exec(answer.headers.get('content-range') ?? '')?.[1];
    if (from === 0 ? answer.status === 200 : answer.status === 206 && start === String(from)) {
      return answer.body();
    }
    answer.drop();
    throw new Error('upstream can not go on with a layer that broke off');
  }

  async *#follow(file: FileHandle, { start, end }: ByteRange): AsyncGenerator<Buffer> {
    try {
      for (let at = start; at <= end; ) {
        const ready = Math.min(this.#got, this.#verified ? end + 1 : end);
        if (at < ready) {
          const buffer = Buffer.allocUnsafe(Math.min(CHUNK, ready - at));
          const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
          if (bytesRead === 0) throw new Error('the file of a layer was cut');
          at += bytesRead;
          yield buffer.subarray(0, bytesRead);
        } else if (this.#failure && !this.#verified) {
          throw this.#failure;
        } else {
          await new Promise<void>((wake) => this.#waiting.push(wake));
        }
      }
    } finally {
      await file.close();
    }
  }

  #tell(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

function tooLong(size: number): Error {
  return new Error(`the layer is longer than the ${size} bytes that upstream said`);
}
