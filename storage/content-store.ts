import { FactStore } from './blob-facts.ts';
import { BlobStore } from './blobs.ts';
import { boundedCache } from './bounded-cache.ts';
import type { SigningKey } from './bridge/jws.ts';
import { Catalog } from './catalog.ts';
import { ChainIndex } from './chain-index.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ExplicitImages } from './explicit-images.ts';
import { KeptImages } from './kept-images.ts';
import { LayerBodies } from './layer-bodies.ts';
import { Lifting } from './lifting.ts';
import { Links } from './links.ts';
import { Listings } from './listings.ts';
import { Lowering, type LoweringOptions } from './lowering.ts';
import { ManifestCache, type ManifestPolicy } from './manifests.ts';
import type { RepositoryName, V1ImageId } from './names.ts';
import { Proofs } from './proofs.ts';
import type { ReferrerIndex } from './referrers.ts';
import { Repository, type RepositoryParts } from './repository.ts';
import { RunningHashes } from './running-hashes.ts';
import { Schema1Forms } from './schema1-forms.ts';
import type { SharedCache } from './shared-cache.ts';
import { loadSigningKey } from './signing-key.ts';
import { V1Pushes } from './v1-pushes.ts';
import { StoredV1Repository, type V1RepositoryParts } from './v1-repository.ts';
import { V1View } from './v1-view.ts';

export interface ContentStoreOptions {
  policy?: ManifestPolicy;
  /** Memory for manifests, small blobs and V1 images, in bytes. Default 64 MiB. */
  cacheBytes?: number;
  /** Keeps small blobs near, for drivers whose content lies far away. */
  shared?: SharedCache | undefined;
  bridge?: Partial<BridgeOptions>;
}

export interface BridgeOptions extends LoweringOptions {
  /** Bytes that a layer may unpack to. */
  maxLayerBytes: number;
  /** Bytes of tar for each byte of blob; undefined for no limit. */
  maxLayerRatio?: number;
  /** Undefined switches schema 1 off; `keyFile` is the signing key, else one is made and kept in the store. */
  schema1: { keyFile: string | undefined } | undefined;
  /** Layers that are read at the same time while nobody waits for them. */
  concurrency: number;
  /** Whether a V1 layer is kept once that an image of the same files has under another compression (bridge.md 5). */
  linkTwins: boolean;
  /** Whether plain V1 layers are compressed once for V2 clients (bridge.md 4.3). */
  compressPlain: boolean;
  /** Told when a pushed image has the ID of a virtual one, and other layers: the virtual one is shown. */
  onContradiction(imageId: V1ImageId, manifest: Digest): void;
  /** Told when a V1 image has no V2 form; its tag is then seen over V1 only. */
  onNotLifted(repository: string, imageId: V1ImageId, reason: string): void;
  /** Told when a proof in the background broke off; it is tried again when a V1 client asks. */
  onProofFailure(repository: string, error: unknown): void;
}

const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;

const DEFAULT_BRIDGE: BridgeOptions = {
  platforms: () => [{ os: 'linux', architecture: 'amd64' }],
  platformFromUserAgent: true,
  waitMs: 60_000,
  maxLayerBytes: 64 * 1024 ** 3,
  schema1: { keyFile: undefined },
  concurrency: 1,
  linkTwins: true,
  compressPlain: false,
  onContradiction: () => undefined,
  onNotLifted: () => undefined,
  onProofFailure: () => undefined,
};

/** All content of a registry on one driver, as both ages of docker see it. Knows no protocol. */
export class ContentStore {
  readonly driver: StorageDriver;
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  /** The V1 images of the whole store, pushed and virtual. */
  readonly v1: V1View;
  readonly lifting: Lifting;
  readonly lowering: Lowering;
  /** Undefined when schema 1 is switched off. */
  readonly schema1: Schema1Forms | undefined;
  readonly facts: FactStore;
  /** Images that V1 clients pushed, without regard to who may see them. */
  readonly explicit: ExplicitImages;
  /** How V1 images come in. */
  readonly pushes: V1Pushes;
  readonly #proofs: Proofs;
  readonly #parts: RepositoryParts;
  readonly #v1Parts: V1RepositoryParts;
  readonly #repositories = boundedCache<RepositoryName, Repository>(10_000);

  constructor(driver: StorageDriver, options: ContentStoreOptions = {}) {
    const bridge = { ...DEFAULT_BRIDGE, ...options.bridge };
    const cacheBytes = Math.ceil((options.cacheBytes ?? DEFAULT_CACHE_BYTES) / 3);
    const listings = new Listings(driver, 200_000);
    this.driver = driver;
    this.blobs = new BlobStore(driver, cacheBytes, options.shared);
    this.catalog = new Catalog(driver);
    this.#parts = {
      driver,
      links: new Links(driver, 50_000),
      listings,
      blobs: this.blobs,
      manifests: new ManifestCache(this.blobs, cacheBytes),
      catalog: this.catalog,
      hashes: new RunningHashes(),
      referrers: boundedCache<string, ReferrerIndex>(1_000),
      policy: options.policy ?? { references: true, indexes: 'all' },
      formsOf: async (repository, digest) => {
        const made = await this.schema1?.sourceOf(repository, digest);
        const forms = Object.values((await this.lifting.forms(made ?? digest)) ?? {});
        return made ? [...forms, digest] : forms;
      },
      onManifest: (repository, manifest) => this.#proofs.add(repository, manifest),
    };
    const facts = new FactStore(
      driver,
      this.blobs,
      {
        maxBytes: bridge.maxLayerBytes,
        ...(bridge.maxLayerRatio !== undefined && { maxRatio: bridge.maxLayerRatio }),
      },
      bridge.concurrency,
    );
    const explicit = new ExplicitImages(driver, this.blobs, cacheBytes);
    this.facts = facts;
    this.explicit = explicit;
    this.pushes = new V1Pushes(driver, this.blobs, facts, explicit);
    const index = new ChainIndex(driver, this.blobs, bridge.linkTwins);
    this.lowering = new Lowering({ driver, blobs: this.blobs, facts, index }, bridge);
    this.lifting = new Lifting(driver, this.blobs, facts, bridge.compressPlain);
    if (bridge.schema1) this.schema1 = this.#openSchema1(facts, bridge.schema1.keyFile);
    this.#proofs = new Proofs((repository, manifest) => {
      if (manifest.kind === 'image') {
        return this.lowering.prove(repository, manifest, 'background');
      }
      return this.schema1?.lifted(repository, manifest) ?? Promise.resolve();
    }, bridge.onProofFailure);
    this.v1 = new V1View({
      bodies: new LayerBodies(this.blobs, facts),
      facts,
      index,
      listings,
      explicit,
      kept: new KeptImages(driver),
      pushes: this.pushes,
      lowering: this.lowering,
      repository: (name) => this.repository(name),
      onContradiction: once(bridge.onContradiction),
    });
    this.#v1Parts = {
      driver,
      listings,
      view: this.v1,
      lifting: this.lifting,
      lowering: this.lowering,
      schema1: this.schema1,
      catalogChanged: () => this.catalog.changed(),
      onNotLifted: bridge.onNotLifted,
    };
  }

  #openSchema1(facts: FactStore, keyFile: string | undefined): Schema1Forms {
    let key: Promise<SigningKey> | undefined;
    const load = () => {
      key ??= loadSigningKey(this.driver, keyFile);
      return key;
    };
    return new Schema1Forms(this.driver, this.blobs, facts, this.lifting, load);
  }

  /** How often a manifest was found in memory, and how often not. */
  get cacheCounts(): Readonly<{ hits: number; misses: number }> {
    return this.#parts.manifests.counts;
  }

  /** The repository of this name, whether it exists yet or not. */
  repository(name: RepositoryName): Repository {
    let repository = this.#repositories.get(name);
    if (!repository) {
      repository = new Repository(
        name,
        this.#parts,
        (self) => new StoredV1Repository(self, this.#v1Parts),
      );
      this.#repositories.set(name, repository);
    }
    return repository;
  }

  async close(): Promise<void> {
    this.#proofs.close();
    await this.driver.close?.();
  }
}

/** Passes each image on once, however often it is looked at. */
function once<T extends string, R>(tell: (id: T, more: R) => void): (id: T, more: R) => void {
  const told = boundedCache<T, true>(10_000);
  return (id, more) => {
    if (told.has(id)) return;
    told.set(id, true);
    tell(id, more);
  };
}
