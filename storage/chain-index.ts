import type { BlobStore } from './blobs.ts';
import { chainIds, EMPTY_TAR_DIFF_ID } from './bridge/chain-id.ts';
import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import type { LayerRecord } from './explicit-images.ts';
import type { ChainLink } from './lowering.ts';
import type { RepositoryName, V1ImageId } from './names.ts';
import { chainRecord, v1Reader } from './paths.ts';
import { readRecord } from './records.ts';

/** Through which manifests of a repository a virtual image may be read. */
export interface ReaderRecord {
  manifests: Digest[];
}

/** One dep can stand in many images of a repository; a few suffice to find it. */
const MAX_READER_MANIFESTS = 8;

/** Finds proved chains again: by the V1 IDs of their images, and by the chain IDs of their layers. */
export class ChainIndex {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #linkTwins: boolean;

  constructor(driver: StorageDriver, blobs: BlobStore, linkTwins: boolean) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#linkTwins = linkTwins;
  }

  /** Notes a proved chain, and that its images may be read through this repository. */
  async add(name: RepositoryName, manifest: Digest, links: readonly ChainLink[]): Promise<void> {
    const top = links.at(-1);
    if (!top) return;
    const noted = await readRecord<ReaderRecord>(this.#driver, v1Reader(top.id, name));
    if (noted?.manifests.includes(manifest)) return;
    if (this.#linkTwins) await this.#addLayers(links);
    // The top comes last: it says that all below it are noted.
    for (const { id } of links) await this.#addReader(id, name, manifest);
  }

  /** Manifests of a repository that may give this virtual image, the latest first. */
  async manifests(id: V1ImageId, name: RepositoryName): Promise<readonly Digest[]> {
    const record = await readRecord<ReaderRecord>(this.#driver, v1Reader(id, name));
    return record?.manifests ?? [];
  }

  /**
   * The gzip layer of a stored image that was pushed over V2 and has exactly these layers, base first, as its first
   * ones (bridge.md 5, "Twins"): it stands for the last of them, whatever another gzip made of the same files.
   */
  async twin(diffIds: readonly Digest[]): Promise<LayerRecord | undefined> {
    const chainId = chainIds(diffIds).at(-1);
    if (!this.#linkTwins || !chainId || diffIds.at(-1) === EMPTY_TAR_DIFF_ID) return undefined;
    return this.#layer(chainId);
  }

  async #addReader(id: V1ImageId, name: RepositoryName, manifest: Digest): Promise<void> {
    const before = await this.manifests(id, name);
    const manifests = [manifest, ...before.filter((other) => other !== manifest)];
    const record: ReaderRecord = { manifests: manifests.slice(0, MAX_READER_MANIFESTS) };
    await this.#driver.put(v1Reader(id, name), JSON.stringify(record), { durable: false });
  }

  /** The first image of a chain counts, as long as its layer is stored: later ones change nothing. */
  async #addLayers(links: readonly ChainLink[]): Promise<void> {
    for (const [index, chainId] of chainIds(links.map((link) => link.diffId)).entries()) {
      const { blob, size, encoding, diffId, diffSize } = links[index] as ChainLink;
      if (encoding !== 'gzip' || (await this.#layer(chainId))) continue;
      const record: LayerRecord = { blob, size, encoding, diffId, diffSize };
      await this.#driver.put(chainRecord(chainId), JSON.stringify(record), { durable: false });
    }
  }

  async #layer(chainId: Digest): Promise<LayerRecord | undefined> {
    const record = await readRecord<LayerRecord>(this.#driver, chainRecord(chainId));
    if (!record || (await this.#blobs.size(record.blob)) !== record.size) return undefined;
    return record;
  }
}
