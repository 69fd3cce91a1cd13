import type { Readable } from 'node:stream';
import type { ByteRange, StorageDriver } from '../../storage/driver.ts';

/** Counts the blobs that are streamed out of a driver, and can hold them back. */
export class BlobReads {
  /** Digests in the order in which they were read. */
  readonly started: string[] = [];
  /** The most that were ever read at the same time. */
  most = 0;
  #active = 0;
  readonly #gates = new Map<string, Promise<void>>();

  /** Holds every read of this blob back until the function that is given back is called. */
  hold(digest: string): () => void {
    let open: () => void = () => undefined;
    this.#gates.set(
      digest,
      new Promise<void>((resolve) => {
        open = resolve;
      }),
    );
    return open;
  }

  async begin(digest: string, open: () => Promise<Readable>): Promise<Readable> {
    this.started.push(digest);
    this.#active += 1;
    this.most = Math.max(this.most, this.#active);
    await this.#gates.get(digest);
    const stream = await open();
    stream.once('close', () => {
      this.#active -= 1;
    });
    return stream;
  }
}

/** The same driver, whose streams of blobs are counted. Several may count together. */
export function countingBlobs(driver: StorageDriver, reads: BlobReads): StorageDriver {
  return new Proxy(driver, {
    get(target, key) {
      if (key !== 'read') {
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return (path: string, range?: ByteRange) => {
        const hex = /\/blobs\/sha256\/..\/([0-9a-f]{64})\/data$/.exec(path)?.[1];
        const open = () => target.read(path, range);
        return hex === undefined ? open() : reads.begin(`sha256:${hex}`, open);
      };
    },
  });
}
