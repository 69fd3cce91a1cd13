import { randomUUID } from 'node:crypto';
import type { BlobFacts, FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST } from './bridge/chain-id.ts';
import { decompressed } from './bridge/layer-encoding.ts';
import {
  type DerivedBlob,
  hasNoV2View,
  type LiftedImage,
  liftChain,
  type V1ChainLink,
  type V2Layer,
} from './bridge/lift.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import type { LayerRecord } from './explicit-images.ts';
import { type Manifest, parseManifest } from './manifest.ts';
import type { V1ImageId } from './names.ts';
import { blobTar, bridgeRecord } from './paths.ts';
import { readRecord } from './records.ts';
import type { Repository } from './repository.ts';

/** One V1 image of a chain, as lifting needs it. */
export interface ChainImage {
  id: V1ImageId;
  json: Buffer;
  layer: LayerRecord;
}

/** The V2 forms of a V1 image, or why it has none. */
export type Lifted = { schema2: Manifest; oci: Manifest } | { reason: string };

/** From which V1 image a config was made (bridge.md 4.8): the V1 view of its manifests is that image. */
export interface Origin {
  imageId: V1ImageId;
}

/** The forms of one image that the bridge made; stands beside each of them. */
export interface Forms {
  schema2: Digest;
  oci: Digest;
}

/** V1 → V2 (bridge.md 4): makes config and manifests of a chain of V1 images, and stores them in a repository. */
export class Lifting {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #facts: FactStore;

  constructor(driver: StorageDriver, blobs: BlobStore, facts: FactStore) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#facts = facts;
  }

  /** Lifts a chain, base first, into `repository`; the tag is the caller's to set, last of all. */
  async lift(repository: Repository, chain: readonly ChainImage[]): Promise<Lifted> {
    const lifted = liftChain(chain.map(chainLink));
    if (hasNoV2View(lifted)) return { reason: `${lifted.reason}: ${lifted.detail}` };
    for (const [index, layer] of lifted.layers.entries()) {
      await this.provide(layer, (chain[index] as ChainImage).layer.blob);
    }
    const manifests = await this.store(repository, lifted);
    const top = chain.at(-1) as ChainImage;
    await this.#rememberOrigin(lifted.config.descriptor.digest, top.id);
    return manifests;
  }

  /** Stores the V2 forms of an image, whose layers are stored, and links all of it into `repository`. */
  async store(
    repository: Repository,
    lifted: LiftedImage,
  ): Promise<{ schema2: Manifest; oci: Manifest }> {
    const { config } = lifted;
    await this.#blobs.put(config.bytes, config.descriptor.digest);
    const digests = new Set([config, ...lifted.layers].map(digestIn));
    await Promise.all([...digests].map((digest) => repository.blobs.link(digest)));
    const schema2 = parseManifest(lifted.schema2.bytes);
    const oci = parseManifest(lifted.oci.bytes);
    const forms: Forms = { schema2: schema2.descriptor.digest, oci: oci.descriptor.digest };
    const record = JSON.stringify(forms);
    await Promise.all([
      repository.manifests.link(schema2),
      repository.manifests.link(oci),
      this.#driver.put(bridgeRecord(forms.schema2, 'forms'), record),
      this.#driver.put(bridgeRecord(forms.oci, 'forms'), record),
    ]);
    return { schema2, oci };
  }

  /** The V1 image that a config was made from. */
  async origin(config: Digest): Promise<V1ImageId | undefined> {
    return (await readRecord<Origin>(this.#driver, bridgeRecord(config, 'origin')))?.imageId;
  }

  /** The OCI form of a schema 2 manifest that the bridge made. */
  async ociForm(schema2: Digest): Promise<Digest | undefined> {
    return (await this.forms(schema2))?.oci;
  }

  /** All forms of the image that a manifest is one of. */
  forms(manifest: Digest): Promise<Forms | undefined> {
    return readRecord<Forms>(this.#driver, bridgeRecord(manifest, 'forms'));
  }

  async #rememberOrigin(config: Digest, imageId: V1ImageId): Promise<void> {
    if (await this.origin(config)) return;
    const origin: Origin = { imageId };
    await this.#driver.put(bridgeRecord(config, 'origin'), JSON.stringify(origin));
  }

  /** Sees to it that the blob which V2 lists for a layer is stored; `stored` is the blob that has the layer. */
  async provide(layer: V2Layer, stored: Digest): Promise<void> {
    if (layer.source === 'empty-tar') await this.#blobs.put(EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST);
    if (layer.source === 'plain-tar') await this.#unpack(layer, stored);
  }

  /** Keeps the plain tar of a layer that its clients could not read; its digest is the diff ID. */
  async #unpack({ diffId, size }: V2Layer, stored: Digest): Promise<void> {
    if ((await this.#blobs.size(diffId)) !== undefined) return;
    const facts = await this.#facts.find(stored);
    if (!facts) throw new Error(`${stored} is not stored`);
    const staged = `${blobTar(stored)}-${randomUUID()}`;
    try {
      const source = decompressed(await this.#blobs.read(stored), facts.encoding, {
        maxBytes: size,
      });
      const written = await this.#driver.append(staged, 0, source);
      await this.#blobs.adopt(staged, diffId, written);
    } finally {
      await this.#driver.delete(staged, { durable: false });
    }
    await this.#facts.record(diffId, { encoding: 'none', diffId, diffSize: size, rules: 1 });
  }
}

/** An image of a chain as the pure bridge takes it. */
export function chainLink({ id, json, layer }: ChainImage): V1ChainLink {
  return { id, json, layer: { digest: layer.blob, size: layer.size }, facts: factsOf(layer) };
}

function factsOf({ encoding, diffId, diffSize }: LayerRecord): BlobFacts {
  if (diffId && diffSize !== undefined) return { encoding, diffId, diffSize, rules: 1 };
  return { encoding, bad: 'it can not be unpacked', rules: 1 };
}

function digestIn(item: V2Layer | DerivedBlob): Digest {
  return 'descriptor' in item ? item.descriptor.digest : item.digest;
}
