import type { Readable } from 'node:stream';
import type { FactStore } from './blob-facts.ts';
import { isBadLayer } from './bridge/layer-facts.ts';
import type { ChainIndex } from './chain-index.ts';
import type { Digest } from './digest.ts';
import { storageError } from './errors.ts';
import type { ExplicitImage, ExplicitImages, LayerRecord } from './explicit-images.ts';
import type { KeptImages } from './kept-images.ts';
import type { LayerBodies } from './layer-bodies.ts';
import type { ChainImage } from './lifting.ts';
import type { Listings } from './listings.ts';
import type { ChainLink, Lowering } from './lowering.ts';
import type { Manifest } from './manifest.ts';
import { DOCKER_MANIFEST } from './media-types.ts';
import { isRepositoryName, type RepositoryName, type V1ImageId } from './names.ts';
import { V1_KEPT, v1HoldersRoot, v1ReadersRoot } from './paths.ts';
import type { Repository } from './repository.ts';
import type { V1Image, V1Reader } from './v1-images.ts';
import { type ImageJson, MAX_ANCESTRY } from './v1-json.ts';
import type { V1Pushes } from './v1-pushes.ts';
import type { V1Images, V1Sums } from './v1-store.ts';

/** A virtual image, found through a manifest that gives it, or kept from one. */
interface Virtual {
  manifest: Digest;
  /** Base first, the image itself last. */
  links: ChainLink[];
  json(): Promise<Buffer | undefined>;
}

/** The V1 images of the whole store, pushed and virtual alike, as a reader may see them. */
export class V1View implements V1Images {
  readonly #index: ChainIndex;
  readonly #bodies: LayerBodies;
  readonly #facts: FactStore;
  readonly #listings: Listings;
  readonly #explicit: ExplicitImages;
  readonly #kept: KeptImages;
  readonly #pushes: V1Pushes;
  readonly #lowering: Lowering;
  readonly #repository: (name: RepositoryName) => Repository;
  readonly #onContradiction: (imageId: V1ImageId, manifest: Digest) => void;

  constructor(parts: {
    bodies: LayerBodies;
    facts: FactStore;
    index: ChainIndex;
    listings: Listings;
    explicit: ExplicitImages;
    kept: KeptImages;
    pushes: V1Pushes;
    lowering: Lowering;
    repository: (name: RepositoryName) => Repository;
    /** Told when a pushed image has the ID of a virtual one, and other layers. */
    onContradiction(imageId: V1ImageId, manifest: Digest): void;
  }) {
    this.#bodies = parts.bodies;
    this.#facts = parts.facts;
    this.#index = parts.index;
    this.#onContradiction = parts.onContradiction;
    this.#listings = parts.listings;
    this.#explicit = parts.explicit;
    this.#kept = parts.kept;
    this.#pushes = parts.pushes;
    this.#lowering = parts.lowering;
    this.#repository = parts.repository;
  }

  async image(id: V1ImageId, reader: V1Reader): Promise<V1Image> {
    const image = await this.find(id, reader);
    if (image && (image.origin === 'virtual' || (await this.#isHeld(id, reader)))) return image;
    if (await this.#pushes.inProgress(id, reader.claimant)) {
      throw storageError('IMAGE_INCOMPLETE', 'Image is being uploaded, retry later');
    }
    throw storageError('IMAGE_UNKNOWN', 'Image not found');
  }

  /**
   * The image, if it is complete and the reader may build on it or tag it: whoever proved once to have an image may,
   * also before a repository holds it. Reading it takes more, see `image`.
   */
  async find(id: V1ImageId, reader: V1Reader): Promise<V1Image | undefined> {
    const explicit = await this.#explicit.get(id);
    const virtual = await this.#virtual(id, reader);
    if (virtual && (await this.#outdoes(virtual, explicit))) return this.#showVirtual(virtual);
    if (!explicit || !(await this.#mayRead(id, reader))) return undefined;
    return {
      id,
      origin: 'explicit',
      json: explicit.json,
      ancestry: explicit.ancestry,
      layer: this.#bodies.explicit(explicit.layer),
      checksums: explicit.checksums,
    };
  }

  /**
   * The manifest that gives a virtual image as its top, for a tag that a V1 client puts on it: one of this repository,
   * else docker's form before OCI's, else the one that came first (bridge.md 4.2).
   */
  async manifestOf(
    id: V1ImageId,
    reader: V1Reader,
    prefer: RepositoryName,
  ): Promise<{ manifest: Manifest; from: RepositoryName } | undefined> {
    const found: { manifest: Manifest; from: RepositoryName; rank: number }[] = [];
    for (const from of await this.#readers(id, reader)) {
      for await (const { manifest, links } of this.#allThrough(id, from)) {
        if (links.at(-1)?.id !== id) continue;
        const isDocker = manifest.descriptor.mediaType === DOCKER_MANIFEST;
        found.unshift({ manifest, from, rank: Number(from === prefer) * 2 + Number(isDocker) });
      }
    }
    return found.sort((a, b) => b.rank - a.rank)[0];
  }

  /** As `findChain`; throws IMAGE_UNKNOWN when an image is missing. */
  async chain(id: V1ImageId, reader: V1Reader): Promise<ChainImage[]> {
    const chain = await this.findChain(id, reader);
    if (chain) return chain;
    throw storageError('IMAGE_UNKNOWN', 'Image not found', { detail: `below ${id}` });
  }

  /**
   * The chain of an image, base first, pushed and virtual images mixed, as lifting needs it; undefined when one is
   * missing, or may not be read.
   */
  async findChain(id: V1ImageId, reader: V1Reader): Promise<ChainImage[] | undefined> {
    const image = await this.find(id, reader);
    if (!image) return undefined;
    const chain: ChainImage[] = [];
    for (const each of [...image.ancestry].reverse()) {
      const explicit = await this.#explicit.get(each);
      const virtual = await this.#virtual(each, reader);
      if (virtual && (await this.#outdoes(virtual, explicit))) {
        chain.push(await this.#virtualLink(virtual));
      } else if (explicit && (await this.#mayRead(each, reader))) {
        chain.push({ id: each, json: explicit.json, layer: await this.#unpacked(explicit.layer) });
      } else {
        return undefined;
      }
    }
    return chain;
  }

  /** A layer that could not be unpacked when it came, under other limits perhaps, is looked at again. */
  async #unpacked(layer: LayerRecord): Promise<LayerRecord> {
    if (layer.diffId) return layer;
    const facts = await this.#facts.find(layer.blob);
    if (!facts || isBadLayer(facts)) return layer;
    return { ...layer, diffId: facts.diffId, diffSize: facts.diffSize };
  }

  async putJson(json: ImageJson, reader: V1Reader, allow?: () => Promise<void>): Promise<void> {
    const { id, bytes, parent } = json;
    if (await this.find(id, reader)) throw alreadyExists();
    const explicit = await this.#explicit.get(id);
    if (explicit && !explicit.json.equals(bytes)) throw alreadyExists();
    const above = parent === undefined ? [] : await this.#parentAncestry(parent, reader);
    if (above.includes(id)) throw storageError('IMAGE_INVALID', 'Image depends on itself');
    if (above.length >= MAX_ANCESTRY) {
      throw storageError('IMAGE_INVALID', `Image has more than ${MAX_ANCESTRY} ancestors`);
    }
    await allow?.();
    if (parent !== undefined) await this.#keep(parent, reader);
    await this.#pushes.begin(id, bytes, [id, ...above], reader.claimant);
  }

  async putLayer(
    id: V1ImageId,
    source: Readable,
    reader: V1Reader,
    onBytes?: (bytes: number) => void,
  ): Promise<void> {
    if (!(await this.#pushes.inProgress(id, reader.claimant))) {
      if (await this.find(id, reader)) throw alreadyExists();
      throw storageError('IMAGE_UNKNOWN', 'Image not found');
    }
    await this.#pushes.receive(id, source, reader.claimant, onBytes);
  }

  async putChecksum(id: V1ImageId, sums: V1Sums, reader: V1Reader): Promise<void> {
    if (!(await this.#pushes.inProgress(id, reader.claimant))) {
      if (await this.find(id, reader)) {
        throw storageError('IMAGE_EXISTS', 'Cannot set this image checksum');
      }
      throw storageError('IMAGE_UNKNOWN', 'Image not found');
    }
    await this.#pushes.complete(id, sums, reader.claimant, (ancestry, layer) =>
      this.#twinOf(ancestry, layer, reader),
    );
  }

  /** The layer of an image with the very same files, all the way down, that was pushed over V2 (bridge.md 5). */
  async #twinOf(
    ancestry: readonly V1ImageId[],
    layer: LayerRecord,
    reader: V1Reader,
  ): Promise<LayerRecord | undefined> {
    if (layer.encoding !== 'gzip' || !layer.diffId) return undefined;
    const parent = ancestry[1];
    const below = parent === undefined ? [] : await this.#diffIds(parent, reader);
    return below && this.#index.twin([...below, layer.diffId]);
  }

  /** The diff IDs of a complete image, base first. */
  async #diffIds(id: V1ImageId, reader: V1Reader): Promise<Digest[] | undefined> {
    if (!(await this.find(id, reader))) return undefined;
    const diffIds: Digest[] = [];
    for (const { layer } of await this.chain(id, reader)) {
      if (!layer.diffId) return undefined;
      diffIds.push(layer.diffId);
    }
    return diffIds;
  }

  async #parentAncestry(parent: V1ImageId, reader: V1Reader): Promise<V1ImageId[]> {
    const found = await this.find(parent, reader);
    if (found) return found.ancestry;
    const staged = await this.#pushes.ancestry(parent, reader.claimant);
    if (staged) return staged;
    throw storageError('IMAGE_INVALID', 'Image depends on a non existing parent');
  }

  /** Repositories in which a virtual image may be, of those the reader may pull from. */
  async #readers(id: V1ImageId, reader: V1Reader): Promise<RepositoryName[]> {
    return visible(await this.#listings.children(v1ReadersRoot(id)), reader);
  }

  async #mayRead(id: V1ImageId, reader: V1Reader): Promise<boolean> {
    if (await this.#isHeld(id, reader)) return true;
    return this.#pushes.hasClaim(id, reader.claimant);
  }

  /** Whether a repository that the reader may pull from holds the image. */
  async #isHeld(id: V1ImageId, reader: V1Reader): Promise<boolean> {
    if (reader.unrestricted) return true;
    return visible(await this.#listings.children(v1HoldersRoot(id)), reader).length > 0;
  }

  /** Through a manifest that the reader may see, else as it was kept for its children. */
  async #virtual(id: V1ImageId, reader: V1Reader): Promise<Virtual | undefined> {
    const names = await this.#listings.children(v1ReadersRoot(id));
    const given = await this.#given(id, visible(names, reader));
    if (given) {
      const { manifest, links } = given;
      const json = () => this.#lowering.json(manifest, links, id);
      return { manifest: manifest.descriptor.digest, links: linksUpTo(links, id), json };
    }
    if (!names.includes(V1_KEPT) || !(await this.#isHeld(id, reader))) return undefined;
    const kept = await this.#kept.get(id);
    return kept && { ...kept, json: async () => kept.json };
  }

  async #given(
    id: V1ImageId,
    names: readonly RepositoryName[],
  ): Promise<{ manifest: Manifest; links: ChainLink[] } | undefined> {
    for (const name of names) {
      for await (const given of this.#allThrough(id, name)) return given;
    }
    return undefined;
  }

  /** What an image is pushed on top of outlives its manifest. */
  async #keep(id: V1ImageId, reader: V1Reader): Promise<void> {
    const given = await this.#given(id, await this.#readers(id, reader));
    if (!given) return;
    const { manifest, links } = given;
    const { digest } = manifest.descriptor;
    await this.#kept.put({ manifest: digest, links: linksUpTo(links, id) }, (each) =>
      this.#lowering.json(manifest, links, each),
    );
  }

  /** Every manifest of a repository that gives the image. What was proved once is proved again if that was lost. */
  async *#allThrough(
    id: V1ImageId,
    name: RepositoryName,
  ): AsyncGenerator<{ manifest: Manifest; links: ChainLink[] }> {
    const repository = this.#repository(name);
    for (const digest of await this.#index.manifests(id, name)) {
      const manifest = await repository.manifests.get(digest);
      const chain = manifest && (await this.#lowering.chain(repository, manifest));
      if (!chain || 'reason' in chain) continue;
      const { links } = chain;
      if (links.some((link) => link.id === id)) yield { manifest, links };
    }
  }

  /**
   * A virtual ID proves itself, a pushed one only claims: what is pushed under it counts only where its layers are the
   * same (bridge.md 5).
   */
  async #outdoes(
    { manifest, links }: Virtual,
    explicit: ExplicitImage | undefined,
  ): Promise<boolean> {
    if (!explicit) return true;
    const { ancestry } = explicit;
    const agrees = await everyAsync([...ancestry].reverse(), async (id, index) => {
      const link = links[index];
      const pushed = await this.#explicit.get(id);
      if (!link) return false;
      return pushed ? pushed.layer.diffId === link.diffId : id === link.id;
    });
    if (agrees && ancestry.length === links.length) return false;
    this.#onContradiction(explicit.id, manifest);
    return true;
  }

  async #virtualLink(virtual: Virtual): Promise<ChainImage> {
    const { id, blob, size, encoding, diffId, diffSize } = virtual.links.at(-1) as ChainLink;
    const json = await virtual.json();
    if (!json) throw storageError('IMAGE_UNKNOWN', 'Image not found', { detail: id });
    return { id, json, layer: { blob, size, encoding, diffId, diffSize } };
  }

  async #showVirtual(virtual: Virtual): Promise<V1Image | undefined> {
    const link = virtual.links.at(-1) as ChainLink;
    const json = await virtual.json();
    if (!json) return undefined;
    return {
      id: link.id,
      origin: 'virtual',
      json,
      ancestry: virtual.links.map((each) => each.id).reverse(),
      layer: await this.#bodies.virtual(link),
      checksums: [],
    };
  }
}

/** The repositories of a listing that the reader may pull from. */
function visible(names: readonly string[], reader: V1Reader): RepositoryName[] {
  const found: RepositoryName[] = [];
  for (const segment of names) {
    const name = segment.replaceAll('~', '/');
    if (!isRepositoryName(name)) continue;
    const may = reader.unrestricted || reader.mayPull(name);
    if (may && (reader.only === undefined || reader.only === name)) found.push(name);
  }
  return found;
}

function linksUpTo(links: ChainLink[], id: V1ImageId): ChainLink[] {
  return links.slice(0, links.findIndex((link) => link.id === id) + 1);
}

function alreadyExists() {
  return storageError('IMAGE_EXISTS', 'Image already exists');
}

async function everyAsync<T>(
  items: readonly T[],
  holds: (item: T, index: number) => Promise<boolean>,
): Promise<boolean> {
  for (const [index, item] of items.entries()) if (!(await holds(item, index))) return false;
  return true;
}
