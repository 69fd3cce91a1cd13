import type { BlobStore } from './blobs.ts';
import type { Catalog } from './catalog.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import type { Links, MaybePromise } from './links.ts';
import type { Listings } from './listings.ts';
import type { Manifest } from './manifest.ts';
import { type ManifestCache, type ManifestPolicy, Manifests } from './manifests.ts';
import type { RepositoryName, Tag } from './names.ts';
import { manifestsRoot, repositoryRoot } from './paths.ts';
import { isOccupied } from './records.ts';
import { type ReferrerIndexes, Referrers } from './referrers.ts';
import { type LinkedBlob, RepositoryBlobs } from './repository-blobs.ts';
import type { RunningHashes } from './running-hashes.ts';
import { Tags } from './tags.ts';
import { Uploads } from './uploads.ts';
import type { V1Repository } from './v1-store.ts';

/** What all repositories of a store share. */
export interface RepositoryParts {
  driver: StorageDriver;
  links: Links;
  listings: Listings;
  blobs: BlobStore;
  manifests: ManifestCache;
  catalog: Catalog;
  hashes: RunningHashes;
  referrers: ReferrerIndexes;
  policy: ManifestPolicy;
  /** All forms of the image that a manifest is a form of, itself among them, as far as the bridge made them. */
  formsOf(repository: Repository, digest: Digest): Promise<Digest[]>;
  /** Told of each manifest that was pushed. */
  onManifest(repository: Repository, manifest: Manifest): void;
}

/** One repository: its blobs, uploads, manifests, tags and referrers. It exists once something is stored in it. */
export class Repository {
  readonly name: RepositoryName;
  readonly blobs: RepositoryBlobs;
  readonly uploads: Uploads;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly referrers: Referrers;
  /** The same repository as V1 clients see it. */
  readonly v1: V1Repository;
  readonly #parts: RepositoryParts;

  constructor(
    name: RepositoryName,
    parts: RepositoryParts,
    v1: (self: Repository) => V1Repository,
  ) {
    const { driver, links, listings } = parts;
    this.name = name;
    this.#parts = parts;
    this.blobs = new RepositoryBlobs(name, driver, links, parts.blobs);
    this.uploads = new Uploads(name, driver, parts.blobs, this.blobs, parts.hashes);
    this.tags = new Tags(name, driver, links, listings);
    this.manifests = new Manifests(name, {
      driver,
      links,
      listings,
      store: parts.blobs,
      cache: parts.manifests,
      blobs: this.blobs,
      tags: this.tags,
      policy: parts.policy,
    });
    this.referrers = new Referrers(name, parts.referrers, this.manifests, this.tags);
    this.v1 = v1(this);
  }

  /** Stores a manifest and points tags at it, last of all. Errors as `Manifests.put`. */
  async putManifest(manifest: Manifest, tags: readonly Tag[]): Promise<void> {
    const existed = await this.exists();
    await this.manifests.put(manifest, tags);
    if (!existed) await this.#parts.catalog.changed();
    this.#parts.onManifest(this, manifest);
  }

  /**
   * Takes a manifest out of this repository with every tag that names it. One form of an image that V1 clients tagged
   * takes the tag and all other forms along (bridge.md 8.2). Throws MANIFEST_UNKNOWN.
   */
  async deleteManifest(digest: Digest): Promise<void> {
    const forms = await this.#parts.formsOf(this, digest);
    const isV1 = await this.#isTaggedOverV1(forms);
    if (!(isV1 && forms.includes(digest) && !(await this.manifests.get(digest)))) {
      await this.manifests.delete(digest);
    }
    if (!isV1) return;
    for (const form of forms) {
      if (form !== digest && (await this.manifests.get(form))) await this.manifests.delete(form);
    }
  }

  async #isTaggedOverV1(forms: readonly Digest[]): Promise<boolean> {
    for (const form of forms) {
      for (const tag of await this.tags.naming(form)) {
        if (await this.v1.writtenOverV1(tag)) return true;
      }
    }
    return false;
  }

  /** The manifest that a tag names, if it is whole. A tag goes before its manifest does, so its link says enough. */
  resolveTag(tag: Tag): MaybePromise<Manifest | undefined> {
    const digest = this.tags.resolve(tag);
    if (digest instanceof Promise) {
      return digest.then((found) => found && this.#parts.manifests.get(found));
    }
    return digest === undefined ? undefined : this.#parts.manifests.get(digest);
  }

  /**
   * Makes a blob of another repository visible here, without a copy, and gives it. Undefined when the other has it not;
   * with no other named, any stored blob will do, and the caller has seen to it that it may be read.
   */
  async mount(digest: Digest, from: Repository | undefined): Promise<LinkedBlob | undefined> {
    if (from) {
      const found = await from.blobs.find(digest);
      if (!found) return undefined;
      if (found.canonical === digest) {
        await this.blobs.linkFrom(from.blobs, digest);
      } else {
        await this.blobs.link(found.canonical);
        await this.blobs.link(digest, found.canonical);
      }
      return found;
    }
    const size = await this.#parts.blobs.size(digest);
    if (size === undefined) return undefined;
    await this.blobs.link(digest);
    return { canonical: digest, size };
  }

  /** Whether a manifest was ever stored here (v2.md 1.6). */
  async exists(): Promise<boolean> {
    return isOccupied(this.#parts.driver, manifestsRoot(this.name));
  }

  /** Removes the repository whole: tags, manifests, links, uploads. Blob data stays until garbage collection. */
  async delete(): Promise<void> {
    const { driver, catalog } = this.#parts;
    for await (const child of driver.list(repositoryRoot(this.name))) {
      if (child.startsWith('_')) await driver.delete(`${repositoryRoot(this.name)}/${child}`);
    }
    await catalog.changed();
  }
}
