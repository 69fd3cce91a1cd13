import { dirname } from 'node:path/posix';
import type { BlobStore } from './blobs.ts';
import type { Digest } from './digest.ts';
import type { PutItem, StorageDriver } from './driver.ts';
import { storageError } from './errors.ts';
import type { Links, MaybePromise } from './links.ts';
import type { RepositoryName } from './names.ts';
import { layerLink } from './paths.ts';

/** A blob as one repository shows it. */
export interface LinkedBlob {
  /** The digest under which the data lies; another one when the blob was linked by an alias (v2.md 3). */
  canonical: Digest;
  /** Bytes. */
  size: number;
}

/** The blobs that one repository shows: those with a link in `_layers`. */
export class RepositoryBlobs {
  readonly #name: RepositoryName;
  readonly #driver: StorageDriver;
  readonly #links: Links;
  readonly #blobs: BlobStore;

  constructor(name: RepositoryName, driver: StorageDriver, links: Links, blobs: BlobStore) {
    this.#name = name;
    this.#driver = driver;
    this.#links = links;
    this.#blobs = blobs;
  }

  /** The blob, if it is linked here and its data is stored. */
  find(digest: Digest): MaybePromise<LinkedBlob | undefined> {
    const link = this.#links.read(layerLink(this.#name, digest));
    if (link instanceof Promise) return link.then((canonical) => this.#sized(canonical));
    return this.#sized(link);
  }

  /** The blob; throws BLOB_UNKNOWN with the digest. */
  async require(digest: Digest): Promise<LinkedBlob> {
    const found = await this.find(digest);
    if (found) return found;
    throw storageError('BLOB_UNKNOWN', 'blob unknown to registry', { detail: digest });
  }

  /** Makes a stored blob visible in this repository; by a digest of its own where the data lies under another. */
  async link(digest: Digest, canonical = digest): Promise<void> {
    if ((await this.#links.read(layerLink(this.#name, digest))) === canonical) return;
    await this.#links.write(layerLink(this.#name, digest), canonical);
  }

  /** What has to be put so that stored blobs are visible here. */
  async missing(digests: Iterable<Digest>): Promise<PutItem[]> {
    const missing: PutItem[] = [];
    for (const digest of digests) {
      const path = layerLink(this.#name, digest);
      if ((await this.#links.read(path)) !== digest) missing.push({ path, content: digest });
    }
    return missing;
  }

  /** As `link`, of a blob that another repository shows by the same digest. */
  async linkFrom(other: RepositoryBlobs, digest: Digest): Promise<void> {
    const path = layerLink(this.#name, digest);
    if ((await this.#links.read(path)) === digest) return;
    if (await this.#driver.local?.repeat?.(layerLink(other.#name, digest), path)) return;
    await this.#links.write(path, digest);
  }

  /** Takes the blob out of this repository; its data stays until garbage collection. Throws BLOB_UNKNOWN. */
  async delete(digest: Digest): Promise<void> {
    await this.require(digest);
    await this.#driver.delete(dirname(layerLink(this.#name, digest)));
  }

  #sized(canonical: Digest | undefined): MaybePromise<LinkedBlob | undefined> {
    if (!canonical) return undefined;
    const size = this.#blobs.size(canonical);
    if (size instanceof Promise) {
      return size.then((bytes) => (bytes === undefined ? undefined : { canonical, size: bytes }));
    }
    return size === undefined ? undefined : { canonical, size };
  }
}
