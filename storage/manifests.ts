import { dirname } from 'node:path/posix';
import { LRUCache } from 'lru-cache';
import type { BlobStore } from './blobs.ts';
import { algorithmOf, type Digest, digestOf } from './digest.ts';
import type { PutItem, StorageDriver } from './driver.ts';
import { RegistryError, storageError } from './errors.ts';
import type { Links, MaybePromise } from './links.ts';
import { gather, type Listings } from './listings.ts';
import { type Descriptor, type Manifest, parseManifest } from './manifest.ts';
import { DOCKER_LAYER_FOREIGN, OCI_NONDISTRIBUTABLE } from './media-types.ts';
import type { RepositoryName, Tag } from './names.ts';
import { blobData, revisionLink, revisionsRoot } from './paths.ts';
import type { RepositoryBlobs } from './repository-blobs.ts';
import type { Tags } from './tags.ts';

/** What a manifest must satisfy before it is stored (distribution's `validation`, v2.md 2.3). */
export interface ManifestPolicy {
  /** False stores manifests whose references are missing. */
  references: boolean;
  /** Which URLs descriptors may carry; undefined allows every http(s) URL. */
  urls?: { allow: RegExp[]; deny: RegExp[] };
  /** Which children of an index must exist. */
  indexes: 'all' | 'none' | { os: string; architecture: string }[];
}

/** Parsed manifests of the whole store by digest: content never changes, so they never go stale. */
export class ManifestCache {
  readonly #blobs: BlobStore;
  readonly #parsed: LRUCache<Digest, Manifest>;
  /** How often a manifest was in memory, and how often not; for metrics. */
  readonly counts = { hits: 0, misses: 0 };

  constructor(blobs: BlobStore, cacheBytes: number) {
    this.#blobs = blobs;
    this.#parsed = new LRUCache({
      maxSize: Math.max(cacheBytes, 1),
      sizeCalculation: (manifest) => manifest.bytes.length * 2 + 1000,
    });
  }

  /** The stored manifest; undefined when there is none, or what is stored is damaged. */
  get(digest: Digest): MaybePromise<Manifest | undefined> {
    const cached = this.#parsed.get(digest);
    if (cached) {
      this.counts.hits += 1;
      return cached;
    }
    this.counts.misses += 1;
    const bytes = this.#blobs.get(digest);
    if (bytes instanceof Promise) return bytes.then((found) => this.#parse(digest, found));
    return this.#parse(digest, bytes);
  }

  #parse(digest: Digest, bytes: Buffer | undefined): Manifest | undefined {
    if (!bytes || digestOf(bytes, algorithmOf(digest)) !== digest) return undefined;
    const manifest = parseStored(bytes, digest);
    this.#parsed.set(digest, manifest);
    return manifest;
  }
}

/** Other registries stored documents that we would refuse; they are served as they are. */
function parseStored(bytes: Buffer, digest: Digest): Manifest {
  try {
    return parseManifest(bytes, undefined, algorithmOf(digest));
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const descriptor = { mediaType: guessMediaType(bytes), digest, size: bytes.length };
    return { bytes, descriptor, kind: 'artifact', layers: [], manifests: [] };
  }
}

function guessMediaType(bytes: Buffer): string {
  try {
    const body = JSON.parse(bytes.toString()) as { mediaType?: unknown };
    if (typeof body.mediaType === 'string') return body.mediaType;
  } catch {
    // Not JSON: bytes without a type.
  }
  return 'application/octet-stream';
}

/** The manifests of one repository: those with a link among its revisions. */
export class Manifests {
  readonly #name: RepositoryName;
  readonly #driver: StorageDriver;
  readonly #links: Links;
  readonly #listings: Listings;
  readonly #store: BlobStore;
  readonly #cache: ManifestCache;
  readonly #blobs: RepositoryBlobs;
  readonly #tags: Tags;
  readonly #policy: ManifestPolicy;

  constructor(
    name: RepositoryName,
    parts: {
      driver: StorageDriver;
      links: Links;
      listings: Listings;
      store: BlobStore;
      cache: ManifestCache;
      blobs: RepositoryBlobs;
      tags: Tags;
      policy: ManifestPolicy;
    },
  ) {
    this.#name = name;
    this.#driver = parts.driver;
    this.#links = parts.links;
    this.#listings = parts.listings;
    this.#store = parts.store;
    this.#cache = parts.cache;
    this.#blobs = parts.blobs;
    this.#tags = parts.tags;
    this.#policy = parts.policy;
  }

  /** The manifest, if it is linked here and its bytes are whole. */
  get(digest: Digest): MaybePromise<Manifest | undefined> {
    const link = this.#links.read(revisionLink(this.#name, digest));
    if (link instanceof Promise) return link.then((at) => (at ? this.#cache.get(at) : undefined));
    return link === undefined ? undefined : this.#cache.get(link);
  }

  /** The manifest; throws MANIFEST_UNKNOWN. */
  async require(digest: Digest): Promise<Manifest> {
    const manifest = await this.get(digest);
    if (manifest) return manifest;
    throw storageError('MANIFEST_UNKNOWN', `manifest unknown: ${digest}`, {
      detail: `unknown manifest name=${this.#name} revision=${digest}`,
    });
  }

  /**
   * Stores a manifest, and points tags at it: every reference is checked, then come its bytes and its link, and the tags
   * once all of that is on the disk. Throws MANIFEST_BLOB_UNKNOWN, once for each missing reference, or
   * MANIFEST_INVALID.
   */
  async put(manifest: Manifest, tags: readonly Tag[] = []): Promise<void> {
    await this.#check(manifest);
    await this.link(manifest, tags);
  }

  /** Stores a manifest that the store itself made, whose references it has linked. */
  async link(manifest: Manifest, tags: readonly Tag[] = []): Promise<void> {
    const { digest } = manifest.descriptor;
    const moving = await this.#tags.notNaming(tags, digest);
    const missing = [...(await this.missing(manifest)), ...this.#tags.history(moving, digest)];
    const last = this.#tags.current(moving, digest);
    if (missing.length + last.length > 0) await this.#links.writeAll(missing, last);
  }

  /** What has to be put so that a manifest is stored and shown here. */
  async missing({ descriptor, bytes }: Manifest): Promise<PutItem[]> {
    const { digest, size } = descriptor;
    const missing: PutItem[] = [];
    if ((await this.#store.size(digest)) !== size) {
      missing.push({ path: blobData(digest), content: bytes });
    }
    const path = revisionLink(this.#name, digest);
    if ((await this.#links.read(path)) !== digest) {
      missing.push({ path, content: digest, alike: true });
    }
    return missing;
  }

  /**
   * Takes the manifest out of this repository, with every tag that names it. Its bytes stay until garbage
   * collection. Tags go first: a tag never names a manifest that is gone. Throws MANIFEST_UNKNOWN.
   */
  async delete(digest: Digest): Promise<void> {
    if (!(await this.#links.read(revisionLink(this.#name, digest)))) await this.require(digest);
    for (const tag of await this.#tags.naming(digest)) await this.#tags.delete(tag);
    await this.#driver.delete(dirname(revisionLink(this.#name, digest)));
  }

  /** Digests of all manifests linked here. */
  async revisions(): Promise<Digest[]> {
    const root = revisionsRoot(this.#name);
    const digests: Digest[] = [];
    for (const algorithm of await this.#listings.children(root)) {
      for (const hex of await this.#listings.children(`${root}/${algorithm}`)) {
        const digest = `${algorithm}:${hex}` as Digest;
        if (await this.#links.read(revisionLink(this.#name, digest))) digests.push(digest);
      }
    }
    return digests;
  }

  /** Whether this repository has a manifests directory, which is what makes it one (v2.md 1.6). */
  async exist(): Promise<boolean> {
    return (await gather(this.#driver.list(dirname(revisionsRoot(this.#name))))).length > 0;
  }

  async #check(manifest: Manifest): Promise<void> {
    if (manifest.kind === 'schema1') return;
    const blobs = manifest.config ? [manifest.config, ...manifest.layers] : manifest.layers;
    for (const descriptor of blobs) this.#checkUrls(descriptor);
    if (!this.#policy.references) return;
    const missing: Digest[] = [];
    for (const descriptor of blobs) {
      if (mayBeElsewhere(descriptor)) continue;
      if (!(await this.#blobs.find(descriptor.digest))) missing.push(descriptor.digest);
    }
    for (const descriptor of manifest.manifests) {
      if (!this.#mustExist(descriptor)) continue;
      if (!(await this.get(descriptor.digest))) missing.push(descriptor.digest);
    }
    if (missing.length > 0) throw missingReferences([...new Set(missing)]);
  }

  #mustExist(child: Descriptor): boolean {
    const { indexes } = this.#policy;
    if (indexes === 'all') return true;
    if (indexes === 'none') return false;
    return indexes.some(
      ({ os, architecture }) =>
        child.platform?.os === os && child.platform.architecture === architecture,
    );
  }

  #checkUrls(descriptor: Descriptor): void {
    if (descriptor.mediaType === DOCKER_LAYER_FOREIGN && !descriptor.urls?.length) {
      throw invalidUrl(descriptor, 'a foreign layer names at least one URL');
    }
    const { urls } = this.#policy;
    for (const url of descriptor.urls ?? []) {
      if (!isPlainUrl(url))
        throw invalidUrl(descriptor, `${url} is not an http(s) URL without fragment`);
      const allowed = !urls || urls.allow.some((rule) => rule.test(url));
      if (!allowed || urls?.deny.some((rule) => rule.test(url))) {
        throw invalidUrl(descriptor, `${url} is not allowed by this registry's policy`);
      }
    }
  }
}

/** A non-distributable layer with a URL may lie elsewhere (image-spec "Non-Distributable Layers"). */
function mayBeElsewhere(descriptor: Descriptor): boolean {
  const { mediaType, urls } = descriptor;
  if (!urls?.length) return false;
  return mediaType === DOCKER_LAYER_FOREIGN || mediaType.startsWith(OCI_NONDISTRIBUTABLE);
}

function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (url.protocol === 'http:' || url.protocol === 'https:') && url.hash === '';
}

function invalidUrl(descriptor: Descriptor, reason: string): RegistryError {
  return storageError('MANIFEST_INVALID', `invalid URL on layer ${descriptor.digest}: ${reason}`, {
    detail: descriptor.digest,
  });
}

function missingReferences(digests: Digest[]): RegistryError {
  const errors = digests.map((digest) =>
    storageError(
      'MANIFEST_BLOB_UNKNOWN',
      `blob or manifest unknown to this repository: ${digest}`,
      {
        detail: digest,
      },
    ),
  );
  const [first, ...more] = errors as [RegistryError, ...RegistryError[]];
  return storageError('MANIFEST_BLOB_UNKNOWN', first.message, { detail: first.detail, more });
}
