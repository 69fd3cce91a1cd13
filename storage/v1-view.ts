import { Readable } from 'node:stream';
import type { BlobStore } from './blobs.ts';
import { EMPTY_TAR } from './bridge/chain-id.ts';
import { decompressed, type LayerEncoding } from './bridge/layer-encoding.ts';
import type { Digest } from './digest.ts';
import type { ByteRange, StorageDriver } from './driver.ts';
import { storageError } from './errors.ts';
import type { ExplicitImage, ExplicitImages } from './explicit-images.ts';
import type { ChainImage } from './lifting.ts';
import type { Listings } from './listings.ts';
import type { ChainLink, Lowering, ReaderRecord } from './lowering.ts';
import type { Manifest } from './manifest.ts';
import { isRepositoryName, type RepositoryName, type V1ImageId } from './names.ts';
import { v1HoldersRoot, v1Reader, v1ReadersRoot } from './paths.ts';
import { readRecord } from './records.ts';
import type { Repository } from './repository.ts';
import type { LayerBody, V1Image, V1Reader } from './v1-images.ts';
import { MAX_ANCESTRY, parseImageJson } from './v1-json.ts';
import type { V1Pushes } from './v1-pushes.ts';
import type { V1Images, V1Sums } from './v1-store.ts';

/** A virtual image, found through a manifest that gives it. */
interface Virtual {
  manifest: Manifest;
  links: ChainLink[];
  position: number;
}

/** The V1 images of the whole store, pushed and virtual alike, as a reader may see them. */
export class V1View implements V1Images {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #listings: Listings;
  readonly #explicit: ExplicitImages;
  readonly #pushes: V1Pushes;
  readonly #lowering: Lowering;
  readonly #repository: (name: RepositoryName) => Repository;

  constructor(parts: {
    driver: StorageDriver;
    blobs: BlobStore;
    listings: Listings;
    explicit: ExplicitImages;
    pushes: V1Pushes;
    lowering: Lowering;
    repository: (name: RepositoryName) => Repository;
  }) {
    this.#driver = parts.driver;
    this.#blobs = parts.blobs;
    this.#listings = parts.listings;
    this.#explicit = parts.explicit;
    this.#pushes = parts.pushes;
    this.#lowering = parts.lowering;
    this.#repository = parts.repository;
  }

  async image(id: V1ImageId, reader: V1Reader): Promise<V1Image> {
    const image = await this.find(id, reader);
    if (image) return image;
    if (await this.#pushes.inProgress(id, reader.claimant)) {
      throw storageError('IMAGE_INCOMPLETE', 'Image is being uploaded, retry later');
    }
    throw storageError('IMAGE_UNKNOWN', 'Image not found');
  }

  /** The image, if it is complete and the reader may read it. */
  async find(id: V1ImageId, reader: V1Reader): Promise<V1Image | undefined> {
    const explicit = await this.#explicit.get(id);
    const virtual = await this.#virtual(id, reader);
    if (virtual && !(explicit && (await this.#agrees(explicit, virtual)))) {
      return this.#showVirtual(virtual);
    }
    if (!explicit || !(await this.#mayRead(id, reader))) return undefined;
    return {
      id,
      origin: 'explicit',
      json: explicit.json,
      ancestry: explicit.ancestry,
      layer: this.#explicitBody(explicit),
      checksums: explicit.checksums,
    };
  }

  /** The manifest that gives a virtual image as its top, for a tag that a V1 client puts on it. */
  async manifestOf(
    id: V1ImageId,
    reader: V1Reader,
    prefer: RepositoryName,
  ): Promise<{ manifest: Manifest; from: RepositoryName } | undefined> {
    const names = await this.#readers(id, reader);
    names.sort((a, b) => Number(b === prefer) - Number(a === prefer));
    for (const name of names) {
      const virtual = await this.#through(id, name);
      if (virtual && virtual.position === virtual.links.length - 1) {
        return { manifest: virtual.manifest, from: name };
      }
    }
    return undefined;
  }

  /**
   * The chain of an image, base first, pushed and virtual images mixed, as lifting needs it.
   * Throws IMAGE_UNKNOWN when one is missing.
   */
  async chain(id: V1ImageId, reader: V1Reader): Promise<ChainImage[]> {
    const { ancestry } = await this.image(id, reader);
    const chain: ChainImage[] = [];
    for (const each of [...ancestry].reverse()) {
      const explicit = await this.#explicit.get(each);
      const virtual = await this.#virtual(each, reader);
      if (virtual && !(explicit && (await this.#agrees(explicit, virtual)))) {
        chain.push(await this.#virtualLink(virtual));
      } else if (explicit && (await this.#mayRead(each, reader))) {
        chain.push({ id: each, json: explicit.json, layer: explicit.layer });
      } else {
        throw storageError('IMAGE_UNKNOWN', 'Image not found', { detail: each });
      }
    }
    return chain;
  }

  async putJson(id: V1ImageId, json: Buffer, reader: V1Reader): Promise<void> {
    const { parent } = parseImageJson(json, id);
    if (await this.find(id, reader)) throw alreadyExists();
    const explicit = await this.#explicit.get(id);
    if (explicit && !explicit.json.equals(json)) throw alreadyExists();
    const above = parent === undefined ? [] : await this.#parentAncestry(parent, reader);
    if (above.includes(id)) throw storageError('IMAGE_INVALID', 'Image depends on itself');
    if (above.length >= MAX_ANCESTRY) {
      throw storageError('IMAGE_INVALID', `Image has more than ${MAX_ANCESTRY} ancestors`);
    }
    await this.#pushes.begin(id, json, [id, ...above], reader.claimant);
  }

  async putLayer(id: V1ImageId, source: Readable, reader: V1Reader): Promise<void> {
    if (!(await this.#pushes.inProgress(id, reader.claimant))) {
      if (await this.find(id, reader)) throw alreadyExists();
      throw storageError('IMAGE_UNKNOWN', 'Image not found');
    }
    await this.#pushes.receive(id, source, reader.claimant);
  }

  async putChecksum(id: V1ImageId, sums: V1Sums, reader: V1Reader): Promise<void> {
    if (!(await this.#pushes.inProgress(id, reader.claimant))) {
      if (await this.find(id, reader)) {
        throw storageError('IMAGE_EXISTS', 'Cannot set this image checksum');
      }
      throw storageError('IMAGE_UNKNOWN', 'Image not found');
    }
    await this.#pushes.complete(id, sums, reader.claimant);
  }

  async #parentAncestry(parent: V1ImageId, reader: V1Reader): Promise<V1ImageId[]> {
    const found = await this.find(parent, reader);
    if (found) return found.ancestry;
    const staged = await this.#pushes.ancestry(parent, reader.claimant);
    if (staged) return staged;
    throw storageError('IMAGE_INVALID', 'Image depends on a non existing parent');
  }

  /** Repositories in which a virtual image may be, of those the reader may pull from. */
  #readers(id: V1ImageId, reader: V1Reader): Promise<RepositoryName[]> {
    return this.#visible(v1ReadersRoot(id), reader);
  }

  async #visible(root: string, reader: V1Reader): Promise<RepositoryName[]> {
    const names = await this.#listings.children(root);
    const found: RepositoryName[] = [];
    for (const segment of names) {
      const name = segment.replaceAll('~', '/');
      if (!isRepositoryName(name)) continue;
      const visible = reader.unrestricted || reader.mayPull(name);
      if (visible && (reader.only === undefined || reader.only === name)) found.push(name);
    }
    return found;
  }

  async #mayRead(id: V1ImageId, reader: V1Reader): Promise<boolean> {
    if (reader.unrestricted) return true;
    if ((await this.#visible(v1HoldersRoot(id), reader)).length > 0) return true;
    return this.#pushes.hasClaim(id, reader.claimant);
  }

  async #virtual(id: V1ImageId, reader: V1Reader): Promise<Virtual | undefined> {
    for (const name of await this.#readers(id, reader)) {
      const virtual = await this.#through(id, name);
      if (virtual) return virtual;
    }
    return undefined;
  }

  async #through(id: V1ImageId, name: RepositoryName): Promise<Virtual | undefined> {
    const record = await readRecord<ReaderRecord>(this.#driver, v1Reader(id, name));
    const repository = this.#repository(name);
    for (const digest of record?.manifests ?? []) {
      const manifest = await repository.manifests.get(digest);
      const chain = manifest && (await this.#lowering.known(manifest));
      if (!chain || 'reason' in chain) continue;
      const position = chain.links.findIndex((link) => link.id === id);
      if (position >= 0) return { manifest, links: chain.links, position };
    }
    return undefined;
  }

  async #agrees(explicit: ExplicitImage, virtual: Virtual): Promise<boolean> {
    const proved = virtual.links.slice(0, virtual.position + 1).map((link) => link.diffId);
    const claimed: (Digest | undefined)[] = [];
    for (const id of explicit.ancestry) {
      claimed.unshift((await this.#explicit.get(id))?.layer.diffId);
    }
    return claimed.length === proved.length && claimed.every((diffId, i) => diffId === proved[i]);
  }

  async #virtualLink({ manifest, links, position }: Virtual): Promise<ChainImage> {
    const { id, blob, size, encoding, diffId, diffSize } = links[position] as ChainLink;
    const json = await this.#lowering.json(manifest, id);
    if (!json) throw storageError('IMAGE_UNKNOWN', 'Image not found', { detail: id });
    return { id, json, layer: { blob, size, encoding, diffId, diffSize } };
  }

  async #showVirtual({ manifest, links, position }: Virtual): Promise<V1Image | undefined> {
    const link = links[position] as ChainLink;
    const json = await this.#lowering.json(manifest, link.id);
    if (!json) return undefined;
    return {
      id: link.id,
      origin: 'virtual',
      json,
      ancestry: links
        .slice(0, position + 1)
        .map((each) => each.id)
        .reverse(),
      layer: this.#body(link.blob, link.size, link.encoding, link.diffSize),
      checksums: [],
    };
  }

  /** A 0-byte layer is sent as the empty tar: docker 1.5 fails on nothing at all (bridge.md 4.3). */
  #explicitBody({ layer }: ExplicitImage): LayerBody {
    if (layer.size > 0) return this.#stored(layer.blob, layer.size);
    return {
      size: EMPTY_TAR.length,
      seekable: true,
      open: async (range) => {
        const { start, end } = range ?? { start: 0, end: EMPTY_TAR.length - 1 };
        return Readable.from([EMPTY_TAR.subarray(start, end + 1)]);
      },
    };
  }

  /** gzip and plain tar go out as they lie; what old engines cannot read goes out as the plain tar. */
  #body(blob: Digest, size: number, encoding: LayerEncoding, diffSize: number): LayerBody {
    if (encoding === 'gzip' || encoding === 'none') return this.#stored(blob, size);
    return {
      size: diffSize,
      seekable: false,
      open: async () =>
        decompressed(await this.#blobs.read(blob), encoding, { maxBytes: diffSize }),
    };
  }

  #stored(blob: Digest, size: number): LayerBody {
    return {
      size,
      seekable: true,
      blob,
      open: (range?: ByteRange) => this.#blobs.read(blob, range),
    };
  }
}

function alreadyExists() {
  return storageError('IMAGE_EXISTS', 'Image already exists');
}
