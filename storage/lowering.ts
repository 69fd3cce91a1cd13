import { LRUCache } from 'lru-cache';
import type { BlobFacts, FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { EMPTY_TAR, EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST } from './bridge/chain-id.ts';
import type { LayerEncoding } from './bridge/layer-encoding.ts';
import { isBadLayer } from './bridge/layer-facts.ts';
import {
  hasNoV1View,
  type LoweredImage,
  lowerImage,
  type NoV1View,
  proveDiffIds,
} from './bridge/lower.ts';
import { pickManifest } from './bridge/platform.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import type { Manifest, Platform } from './manifest.ts';
import { DOCKER_CONFIG, OCI_CONFIG } from './media-types.ts';
import type { V1ImageId } from './names.ts';
import { bridgeRecord, v1Reader } from './paths.ts';
import { readRecord } from './records.ts';
import type { Repository } from './repository.ts';

/** A missing blob may still come; every other reason follows from content. */
const MAY_CHANGE = new Set(['foreign-layer', 'bad-layer', 'bad-config']);

/** One virtual V1 image of a manifest: its place in the chain and the blob behind it. */
export interface ChainLink {
  id: V1ImageId;
  diffId: Digest;
  blob: Digest;
  size: number;
  encoding: LayerEncoding;
  diffSize: number;
}

/** What a manifest looks like over V1, or why it can't be seen there. Follows from content only. */
export type Chain = { rules: 1; links: ChainLink[] } | { rules: 1; reason: string };

/** Through which manifests of a repository a virtual image may be read. */
export interface ReaderRecord {
  manifests: Digest[];
}

/** One dep can stand in many images of a repository; a few suffice to find it. */
const MAX_READER_MANIFESTS = 8;

export interface LoweringOptions {
  /** Which platform of an index V1 clients see, in order of preference. */
  platforms(repository: string): readonly Platform[];
  /** Milliseconds that a V1 client waits for diff IDs to be proved. */
  waitMs: number;
  onUnbridgeable?(repository: string, manifest: Digest, reason: string): void;
}

/**
 * V2 → V1 (bridge.md 3): finds the chain of virtual images of a manifest. The diff IDs that its config claims are
 * proved against the blobs before anybody sees the chain, once for each manifest for ever.
 */
export class Lowering {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #facts: FactStore;
  readonly #options: LoweringOptions;
  readonly #views = new LRUCache<Digest, LoweredImage[]>({ max: 500 });
  readonly #known = new LRUCache<Digest, Chain>({ max: 10_000 });
  readonly #running = new Map<Digest, Promise<Chain>>();

  constructor(driver: StorageDriver, blobs: BlobStore, facts: FactStore, options: LoweringOptions) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#facts = facts;
    this.#options = options;
  }

  /**
   * The image manifest that V1 clients see of this one: itself, or one platform of an index (bridge.md 3.1). With
   * `only` there is no other than the agent's platform.
   */
  async pick(
    repository: Repository,
    manifest: Manifest,
    agent: Platform | undefined,
    only = false,
  ): Promise<Manifest | undefined> {
    if (manifest.kind !== 'index') return manifest.kind === 'image' ? manifest : undefined;
    const wishes = only ? [] : this.#options.platforms(repository.name);
    const picked = await pickManifest(manifest.bytes, agent ? [agent, ...wishes] : wishes, {
      index: async (digest) => (await repository.manifests.get(digest))?.bytes,
      platform: async (digest) => this.#platformOf(await repository.manifests.get(digest)),
    });
    return picked && (await repository.manifests.get(picked.digest));
  }

  /** The chain, if it was ever proved. */
  async known(manifest: Manifest): Promise<Chain | undefined> {
    const { digest } = manifest.descriptor;
    const cached = this.#known.get(digest);
    if (cached) return cached;
    const chain = await readRecord<Chain>(this.#driver, bridgeRecord(digest, 'chain'));
    if (chain) this.#known.set(digest, chain);
    return chain;
  }

  /** The proved chain, waiting for the proof up to the configured time; undefined when it takes longer. */
  async chain(repository: Repository, manifest: Manifest): Promise<Chain | undefined> {
    const { digest } = manifest.descriptor;
    const known = await this.known(manifest);
    if (known) {
      await this.#index(repository, digest, known);
      return known;
    }
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((done) => {
      timer = setTimeout(() => done(undefined), this.#options.waitMs);
    });
    try {
      return await Promise.race([this.prove(repository, manifest), patience]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Proves the chain now; concurrent callers share one proof. */
  prove(repository: Repository, manifest: Manifest): Promise<Chain> {
    const { digest } = manifest.descriptor;
    let running = this.#running.get(digest);
    if (!running) {
      running = this.#prove(repository, manifest).finally(() => this.#running.delete(digest));
      this.#running.set(digest, running);
    }
    return running;
  }

  /** The JSON of one image of a proved chain. */
  async json(manifest: Manifest, id: V1ImageId): Promise<Buffer | undefined> {
    const { digest } = manifest.descriptor;
    let view = this.#views.get(digest);
    if (!view) {
      const lowered = await this.#lower(manifest, (layer) => this.#facts.known(layer));
      if (hasNoV1View(lowered)) return undefined;
      view = lowered;
      this.#views.set(digest, view);
    }
    return view.find((image) => image.id === id)?.json;
  }

  async #prove(repository: Repository, manifest: Manifest): Promise<Chain> {
    const chain = await this.#derive(manifest);
    const { digest } = manifest.descriptor;
    if ('reason' in chain && chain.reason !== 'artifact') {
      this.#options.onUnbridgeable?.(repository.name, digest, chain.reason);
    }
    const lasting = !('reason' in chain) || !MAY_CHANGE.has(chain.reason);
    if (lasting) {
      const path = bridgeRecord(digest, 'chain');
      await this.#driver.put(path, JSON.stringify(chain), { durable: false });
    }
    await this.#index(repository, digest, chain);
    return chain;
  }

  async #derive(manifest: Manifest): Promise<Chain> {
    const lowered = await this.#lower(manifest, (layer) => this.#facts.find(layer));
    if (hasNoV1View(lowered)) return { rules: 1, reason: lowered.reason };
    const links: ChainLink[] = [];
    for (const image of lowered) links.push(await this.#link(image));
    return { rules: 1, links };
  }

  async #lower(
    manifest: Manifest,
    factsOf: (layer: Digest) => Promise<BlobFacts | undefined>,
  ): Promise<LoweredImage[] | NoV1View> {
    const { config } = manifest;
    const bytes = config && (await this.#blobs.get(config.digest));
    if (!config || !bytes) return { reason: 'bad-config', detail: 'the config is not stored' };
    const facts = new Map<Digest, BlobFacts>();
    if (isImageConfig(config.mediaType)) {
      for (const { digest } of manifest.layers) {
        const found = await factsOf(digest);
        if (found) facts.set(digest, found);
      }
    }
    const parts = { config, layers: manifest.layers };
    const proved = proveDiffIds(parts, bytes, (digest) => facts.get(digest));
    return hasNoV1View(proved) ? proved : lowerImage(parts, bytes, proved);
  }

  /** An image without layers is one V1 image whose layer is the empty tar. */
  async #link({ id, diffId, layer }: LoweredImage): Promise<ChainLink> {
    if (!layer) {
      await this.#blobs.put(EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST);
      const size = EMPTY_TAR_GZIP.length;
      const blob = EMPTY_TAR_GZIP_DIGEST;
      return { id, diffId, blob, size, encoding: 'gzip', diffSize: EMPTY_TAR.length };
    }
    const facts = await this.#facts.known(layer.digest);
    if (!facts || isBadLayer(facts)) throw new Error(`no facts of ${layer.digest}`);
    const size = (await this.#blobs.size(layer.digest)) ?? 0;
    const { encoding, diffSize } = facts;
    return { id, diffId, blob: layer.digest, size, encoding, diffSize };
  }

  async #platformOf(manifest: Manifest | undefined): Promise<Platform | undefined> {
    const bytes = manifest?.config && (await this.#blobs.get(manifest.config.digest));
    if (!bytes) return undefined;
    try {
      const { os, architecture, variant } = JSON.parse(bytes.toString()) as Partial<Platform>;
      if (typeof os !== 'string' || typeof architecture !== 'string') return undefined;
      return { os, architecture, ...(typeof variant === 'string' && { variant }) };
    } catch {
      return undefined;
    }
  }

  /** Notes through which repository the images of a chain may be read. */
  async #index(repository: Repository, manifest: Digest, chain: Chain): Promise<void> {
    if ('reason' in chain) return;
    const top = chain.links.at(-1);
    if (!top) return;
    const noted = await readRecord<ReaderRecord>(this.#driver, v1Reader(top.id, repository.name));
    if (noted?.manifests.includes(manifest)) return;
    for (const { id } of chain.links) {
      const path = v1Reader(id, repository.name);
      const before = (await readRecord<ReaderRecord>(this.#driver, path))?.manifests ?? [];
      const manifests = [manifest, ...before.filter((other) => other !== manifest)];
      const record: ReaderRecord = { manifests: manifests.slice(0, MAX_READER_MANIFESTS) };
      await this.#driver.put(path, JSON.stringify(record), { durable: false });
    }
  }
}

/** Layers of anything else are not looked into: they can be huge, and are no layers. */
function isImageConfig(mediaType: string | undefined): boolean {
  return mediaType === DOCKER_CONFIG || mediaType === OCI_CONFIG;
}
