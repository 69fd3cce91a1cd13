import type { BlobFacts, FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { boundedCache } from './bounded-cache.ts';
import { EMPTY_TAR, EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST } from './bridge/chain-id.ts';
import type { LayerEncoding } from './bridge/layer-encoding.ts';
import { isBadLayer } from './bridge/layer-facts.ts';
import {
  hasNoV1View,
  type LoweredImage,
  lowerImage,
  type NoV1View,
  type NoV1ViewReason,
  proveDiffIds,
} from './bridge/lower.ts';
import { pickManifest } from './bridge/platform.ts';
import type { ChainIndex } from './chain-index.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import type { Manifest, Platform } from './manifest.ts';
import { DOCKER_CONFIG, OCI_CONFIG } from './media-types.ts';
import type { V1ImageId } from './names.ts';
import { bridgeRecord } from './paths.ts';
import { readRecord } from './records.ts';
import type { Repository } from './repository.ts';
import type { Urgency } from './work-queue.ts';

/** A missing blob may still come, and limits may be raised; every other reason follows from content. */
const MAY_CHANGE = new Set(['foreign-layer', 'bad-layer', 'bad-config']);

/** One virtual V1 image of a manifest: its place in the chain and the blob that the manifest names for it. */
export interface ChainLink {
  id: V1ImageId;
  diffId: Digest;
  blob: Digest;
  size: number;
  encoding: LayerEncoding;
  diffSize: number;
}

/** What a manifest looks like over V1, or why it can't be seen there. Follows from content only. */
export type Chain = { rules: 1; links: ChainLink[] } | Unbridgeable;

/** Why a manifest has no V1 view. */
export interface Unbridgeable {
  rules: 1;
  reason: NoV1ViewReason;
  /** In words. */
  detail?: string;
}

/** How long, and how urgently, a client waits for proofs. */
export interface Wait {
  /** Milliseconds of Date.now. */
  until: number;
  urgency: Exclude<Urgency, 'background'>;
}

export interface LoweringOptions {
  /** Which platform of an index V1 clients see, in order of preference. */
  platforms(repository: string): readonly Platform[];
  /** Whether the platform that an engine names in its User-Agent comes before those. */
  platformFromUserAgent: boolean;
  /** Milliseconds that a V1 client waits for diff IDs to be proved. */
  waitMs: number;
  /** Told once for each manifest, by this process; not of artifacts, which are no images. */
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
  readonly #index: ChainIndex;
  readonly #options: LoweringOptions;
  readonly #told = boundedCache<string, true>(10_000);
  readonly #views = boundedCache<Digest, LoweredImage[]>(500);
  readonly #known = boundedCache<Digest, Chain>(10_000);
  readonly #running = new Map<Digest, Promise<Chain>>();

  constructor(
    parts: { driver: StorageDriver; blobs: BlobStore; facts: FactStore; index: ChainIndex },
    options: LoweringOptions,
  ) {
    this.#driver = parts.driver;
    this.#blobs = parts.blobs;
    this.#facts = parts.facts;
    this.#index = parts.index;
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
    const wishes = only ? (agent ? [agent] : []) : this.#wishes(repository, agent);
    const picked = await pickManifest(manifest.bytes, wishes, {
      index: async (digest) => (await repository.manifests.get(digest))?.bytes,
      platform: async (digest) => this.#platformOf(await repository.manifests.get(digest)),
    });
    return picked && (await repository.manifests.get(picked.digest));
  }

  /**
   * The chain of what V1 clients see of a manifest, as `chain` gives it, with the image manifest that was picked; or why
   * there is none.
   */
  async view(
    repository: Repository,
    manifest: Manifest,
    agent: Platform | undefined,
    wait?: Wait,
  ): Promise<{ chain: Chain; picked?: Manifest } | undefined> {
    const picked = await this.pick(repository, manifest, agent);
    if (!picked) return { chain: this.#unseen(repository, manifest, agent) };
    const chain = await this.chain(repository, picked, wait);
    return chain && { chain, picked };
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

  /** How long a client waits that asks now. */
  wait(urgency: Wait['urgency'] = 'waiting'): Wait {
    return { until: Date.now() + this.#options.waitMs, urgency };
  }

  /** The proved chain, waiting for the proof up to the configured time; undefined when it takes longer. */
  async chain(
    repository: Repository,
    manifest: Manifest,
    wait = this.wait(),
  ): Promise<Chain | undefined> {
    const known = await this.known(manifest);
    if (known) {
      await this.#note(repository, manifest, known);
      return known;
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((done) => {
      timer = setTimeout(() => done(undefined), Math.max(0, wait.until - Date.now()));
    });
    const proof = this.prove(repository, manifest, wait.urgency);
    // When nobody waits any more, whoever asks next hears of its failure.
    proof.catch(() => undefined);
    try {
      return await Promise.race([proof, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Proves the chain now; concurrent callers share one proof, and one who waits hurries it up. */
  async prove(repository: Repository, manifest: Manifest, urgency: Urgency): Promise<Chain> {
    const { digest } = manifest.descriptor;
    let running = this.#running.get(digest);
    if (!running) {
      running = this.#prove(repository, manifest, urgency).finally(() =>
        this.#running.delete(digest),
      );
      this.#running.set(digest, running);
    } else if (urgency !== 'background' && isImage(manifest)) {
      for (const { digest: layer } of manifest.layers) {
        this.#facts.find(layer, urgency).catch(() => undefined);
      }
    }
    const chain = await running;
    await this.#note(repository, manifest, chain);
    return chain;
  }

  /** The JSON of one image of a proved chain. */
  async json(
    manifest: Manifest,
    links: readonly ChainLink[],
    id: V1ImageId,
  ): Promise<Buffer | undefined> {
    const { digest } = manifest.descriptor;
    let view = this.#views.get(digest);
    if (!view) {
      const { config, layers } = manifest;
      const bytes = config && (await this.#blobs.get(config.digest));
      if (!config || !bytes) return undefined;
      const proved = layers.length === 0 ? [] : links.map((link) => link.diffId);
      view = lowerImage({ config, layers }, bytes, proved);
      this.#views.set(digest, view);
    }
    return view.find((image) => image.id === id)?.json;
  }

  async #prove(repository: Repository, manifest: Manifest, urgency: Urgency): Promise<Chain> {
    const known = await this.known(manifest);
    if (known) return known;
    const chain = await this.#derive(manifest, urgency);
    const { digest } = manifest.descriptor;
    if ('reason' in chain) this.#tell(repository, digest, chain.reason);
    if ('links' in chain || !MAY_CHANGE.has(chain.reason)) {
      const path = bridgeRecord(digest, 'chain');
      await this.#driver.put(path, JSON.stringify(chain), { durable: false });
      this.#known.set(digest, chain);
    }
    return chain;
  }

  /** The log hears of each manifest once, whoever asks for it and how often. */
  #tell(repository: Repository, manifest: Digest, reason: NoV1ViewReason): void {
    if (reason === 'artifact' || this.#told.has(manifest)) return;
    this.#told.set(manifest, true);
    this.#options.onUnbridgeable?.(repository.name, manifest, reason);
  }

  #wishes(repository: Repository, agent: Platform | undefined): readonly Platform[] {
    const wishes = this.#options.platforms(repository.name);
    return agent && this.#options.platformFromUserAgent ? [agent, ...wishes] : wishes;
  }

  /** Why nothing of a manifest can be picked. */
  #unseen(repository: Repository, manifest: Manifest, agent: Platform | undefined): Unbridgeable {
    if (manifest.kind !== 'index') {
      return { rules: 1, reason: 'artifact', detail: 'it is an artifact, not an image' };
    }
    const wishes = this.#wishes(repository, agent).map(({ os, architecture, variant }) =>
      [os, architecture, variant].filter((part) => part !== undefined).join('/'),
    );
    this.#tell(repository, manifest.descriptor.digest, 'no-platform');
    const detail = `it has no image for ${[...new Set(wishes)].join(', ')}`;
    return { rules: 1, reason: 'no-platform', detail };
  }

  async #derive(manifest: Manifest, urgency: Urgency): Promise<Chain> {
    if (urgency !== 'background' && isImage(manifest)) {
      await Promise.all(manifest.layers.map(({ digest }) => this.#facts.find(digest, urgency)));
    }
    const lowered = await this.#lower(manifest, (layer) => this.#facts.find(layer, urgency));
    if (hasNoV1View(lowered)) {
      return { rules: 1, reason: lowered.reason, detail: lowered.detail };
    }
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
    if (isImage(manifest)) {
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

  async #note(repository: Repository, manifest: Manifest, chain: Chain): Promise<void> {
    if ('reason' in chain) return;
    await this.#index.add(repository.name, manifest.descriptor.digest, chain.links);
  }
}

/** Layers of anything else are not looked into: they can be huge, and are no layers. */
function isImage({ config }: Manifest): boolean {
  return config?.mediaType === DOCKER_CONFIG || config?.mediaType === OCI_CONFIG;
}
