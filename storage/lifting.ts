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
  type NoV2View,
  type V1ChainLink,
  type V2Layer,
  viewsOf,
} from './bridge/lift.ts';
import { CompressedLayers } from './compressed-layers.ts';
import type { Digest } from './digest.ts';
import type { PutItem, StorageDriver } from './driver.ts';
import type { LayerRecord } from './explicit-images.ts';
import { makeOnce } from './lease.ts';
import { type Manifest, parseManifest } from './manifest.ts';
import type { V1ImageId } from './names.ts';
import { blobLock, blobTar, bridgeRecord } from './paths.ts';
import { putAll } from './put-all.ts';
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
  readonly #compressed: CompressedLayers;
  readonly #compressPlain: boolean;

  /** `compressPlain`: whether V2 lists plain layers compressed (bridge.md 4.3). */
  constructor(driver: StorageDriver, blobs: BlobStore, facts: FactStore, compressPlain = false) {
    this.#compressed = new CompressedLayers(driver, blobs, facts);
    this.#compressPlain = compressPlain;
    this.#driver = driver;
    this.#blobs = blobs;
    this.#facts = facts;
  }

  /**
   * Lifts a chain, base first, into `repository`; the tag is the caller's to set, last of all. `expected` is the
   * schema 2 manifest that it gave before: an option that was switched since then does not change it.
   */
  async lift(
    repository: Repository,
    chain: readonly ChainImage[],
    expected?: Digest,
  ): Promise<Lifted> {
    const lifted = await this.derive(chain, expected);
    if (hasNoV2View(lifted)) return { reason: `${lifted.reason}: ${lifted.detail}` };
    const top = chain.at(-1) as ChainImage;
    return this.store(repository, lifted, top.id);
  }

  /** The V2 forms of a chain, base first, whose layers are stored when this returns; or why it has none. */
  async derive(chain: readonly ChainImage[], expected?: Digest): Promise<LiftedImage | NoV2View> {
    const plain = liftChain(chain.map(chainLink));
    if (hasNoV2View(plain)) return plain;
    for (const [index, layer] of plain.layers.entries()) {
      await this.provide(layer, (chain[index] as ChainImage).layer.blob);
    }
    if (plain.layers.every((layer) => layer.gzip)) return plain;
    const isExpected = ({ schema2 }: LiftedImage) => schema2.descriptor.digest === expected;
    if (isExpected(plain)) return plain;
    if (!this.#compressPlain) {
      const known = await this.#withLayers(plain, (layer) => this.#compressed.known(layer));
      return isExpected(known) ? known : plain;
    }
    return this.#withLayers(plain, (layer) => this.#compressed.of(layer));
  }

  async #withLayers(
    { config, layers }: LiftedImage,
    change: (layer: V2Layer) => Promise<V2Layer>,
  ): Promise<LiftedImage> {
    const changed: V2Layer[] = [];
    for (const layer of layers) changed.push(await change(layer));
    return viewsOf(config.bytes, changed);
  }

  /**
   * Stores the V2 forms of an image, whose layers are stored, and links all of it into `repository`. `imageId` is the V1
   * image that it was made from.
   */
  async store(
    repository: Repository,
    lifted: LiftedImage,
    imageId?: V1ImageId,
  ): Promise<{ schema2: Manifest; oci: Manifest }> {
    const { bytes, descriptor } = lifted.config;
    const digests = new Set([lifted.config, ...lifted.layers].map(digestIn));
    const schema2 = parseManifest(lifted.schema2.bytes);
    const oci = parseManifest(lifted.oci.bytes);
    const forms: Forms = { schema2: schema2.descriptor.digest, oci: oci.descriptor.digest };
    const content = JSON.stringify(forms);
    await putAll(this.#driver, [
      ...(await this.#blobs.missing(bytes, descriptor.digest)),
      ...(await repository.blobs.missing(digests)),
      ...(imageId === undefined ? [] : await this.#missingOrigin(descriptor.digest, imageId)),
      { path: bridgeRecord(forms.schema2, 'forms'), content, alike: true },
      { path: bridgeRecord(forms.oci, 'forms'), content, alike: true },
      ...(await repository.manifests.missing(schema2)),
      ...(await repository.manifests.missing(oci)),
    ]);
    return { schema2, oci };
  }

  /** The V1 image that a config was made from. */
  async origin(config: Digest): Promise<V1ImageId | undefined> {
    return (await readRecord<Origin>(this.#driver, bridgeRecord(config, 'origin')))?.imageId;
  }

  /** The other form of an image that the bridge made, in a repository that has this one. */
  async otherForm(repository: Repository, manifest: Manifest): Promise<Manifest | undefined> {
    const { digest } = manifest.descriptor;
    const forms = await this.forms(digest);
    if (!forms || manifest.kind !== 'image') return undefined;
    const other = forms.schema2 === digest ? forms.oci : forms.schema2;
    const linked = await repository.manifests.get(other);
    if (linked) return linked;
    const bytes = await this.#blobs.get(other);
    if (!bytes) return undefined;
    // It names the same blobs, which this repository shows already.
    const found = parseManifest(bytes);
    await repository.manifests.link(found);
    return found;
  }

  /** All forms of the image that a manifest is one of. */
  forms(manifest: Digest): Promise<Forms | undefined> {
    return readRecord<Forms>(this.#driver, bridgeRecord(manifest, 'forms'));
  }

  async #missingOrigin(config: Digest, imageId: V1ImageId): Promise<PutItem[]> {
    if (await this.origin(config)) return [];
    const origin: Origin = { imageId };
    return [{ path: bridgeRecord(config, 'origin'), content: JSON.stringify(origin) }];
  }

  /** Sees to it that the blob which V2 lists for a layer is stored; `stored` is the blob that has the layer. */
  async provide(layer: V2Layer, stored: Digest): Promise<void> {
    if (layer.source === 'empty-tar') await this.#blobs.put(EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST);
    if (layer.source === 'plain-tar') await this.#unpack(layer, stored);
  }

  /** Keeps the plain tar of a layer that its clients could not read; its digest is the diff ID. */
  async #unpack({ diffId, size }: V2Layer, stored: Digest): Promise<void> {
    const known = async () => (await this.#blobs.size(diffId)) !== undefined || undefined;
    if (await known()) return;
    const facts = await this.#facts.find(stored);
    if (!facts) throw new Error(`${stored} is not stored`);
    await makeOnce(this.#driver, blobLock(diffId), known, async () => {
      const staged = `${blobTar(stored)}-${randomUUID()}`;
      try {
        const source = decompressed(await this.#blobs.read(stored), facts.encoding, {
          maxBytes: size,
        });
        const written = await this.#driver.append(staged, 0, source);
        await this.#facts.record(diffId, { encoding: 'none', diffId, diffSize: size, rules: 1 });
        await this.#blobs.adopt(staged, diffId, written);
        return true;
      } finally {
        await this.#driver.delete(staged, { durable: false });
      }
    });
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
