import type { Readable } from 'node:stream';
import { type Logger, registryError } from '../../protocols/registry.ts';
import type { ContentStore } from '../../storage/content-store.ts';
import { hasCode } from '../../storage/errors.ts';
import type { RepositoryName, V1ImageId } from '../../storage/names.ts';
import type { V1Image, V1Reader } from '../../storage/v1-images.ts';
import type { ImageJson } from '../../storage/v1-json.ts';
import type { ComputedSums } from '../../storage/v1-pushes.ts';
import type { V1Images, V1Sums } from '../../storage/v1-store.ts';
import { ANYONE } from '../../storage/v1-tags.ts';
import type { Claims } from './claims.ts';
import { FollowedFetch } from './followed-fetch.ts';
import type { Incoming } from './incoming.ts';
import { type Fetching, LayerFetch } from './layer-fetch.ts';
import type { MirrorCounts } from './mirror-counts.ts';
import type { UpstreamClient } from './upstream-client.ts';
import type { UpstreamImage, UpstreamImages } from './upstream-images.ts';

export interface MirroredImagesParts {
  content: ContentStore;
  client: UpstreamClient;
  upstream: UpstreamImages;
  claims: Claims;
  incoming: Incoming;
  counts: MirrorCounts;
  log: Logger;
}

/** How long an image that another process is just storing is waited for. */
const BUSY_PAUSE_MS = 250;
const BUSY_TRIES = 120;

/**
 * The images of the store, and those that upstream has: served while they come, and kept only whole, verified, and
 * with everything below them (v1.md 5, B22).
 */
export class MirroredImages implements V1Images {
  readonly #parts: MirroredImagesParts;
  readonly #fetches = new Map<V1ImageId, Promise<Fetching>>();

  constructor(parts: MirroredImagesParts) {
    this.#parts = parts;
  }

  async image(id: V1ImageId, reader: V1Reader): Promise<V1Image> {
    const own = this.#parts.content.v1;
    const { counts } = this.#parts;
    try {
      const image = await own.image(id, reader);
      counts.hits.blob += 1;
      return image;
    } catch (error) {
      if (!hasCode(error, 'IMAGE_UNKNOWN') && !hasCode(error, 'IMAGE_INCOMPLETE')) throw error;
      const names = await this.#through(id, reader);
      const image = names && (await this.#parts.upstream.get(id));
      if (!image) throw error;
      counts.misses.blob += 1;
      // Without a size nothing can be promised, and an empty layer is not sent as it is: such come first.
      if (image.size) return this.#show(image, image.size, names);
      await this.#store(id, names);
      return own.image(id, reader);
    }
  }

  /** A push on top of an image that only upstream has brings that image here. */
  async putJson(json: ImageJson, reader: V1Reader, allow?: () => Promise<void>): Promise<void> {
    if (json.parent !== undefined) await this.bring(json.parent, reader);
    await this.#parts.content.v1.putJson(json, reader, allow);
  }

  putLayer(
    id: V1ImageId,
    source: Readable,
    reader: V1Reader,
    onBytes?: (bytes: number) => void,
  ): Promise<void> {
    return this.#parts.content.v1.putLayer(id, source, reader, onBytes);
  }

  putChecksum(id: V1ImageId, sums: V1Sums, reader: V1Reader): Promise<void> {
    return this.#parts.content.v1.putChecksum(id, sums, reader);
  }

  /** Stores an image that only upstream has, with all below it. Throws UNAVAILABLE; nothing where upstream has it not. */
  async bring(id: V1ImageId, reader: V1Reader): Promise<void> {
    const { content, upstream } = this.#parts;
    if (await content.v1.find(id, reader)) return;
    if (await content.pushes.inProgress(id, reader.claimant)) return;
    const names = await this.#through(id, reader);
    if (!names || !(await upstream.get(id))) return;
    await this.#store(id, names);
  }

  /** Resolves when nothing is being fetched any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(
      [...this.#fetches.values()].map(async (fetch) => (await fetch).stored),
    );
  }

  /**
   * The repositories through which this reader may have the image of upstream; none are needed without accounts.
   * Undefined when he may not.
   */
  async #through(id: V1ImageId, reader: V1Reader): Promise<RepositoryName[] | undefined> {
    if (reader.unrestricted) return [];
    const names = (await this.#parts.claims.names(id)).filter(
      (name) => reader.mayPull(name) && (reader.only === undefined || reader.only === name),
    );
    if (names.length === 0) return undefined;
    const image = await this.#parts.upstream.get(id);
    for (const name of names) await this.#parts.claims.add(name, image?.ancestry ?? []);
    return names;
  }

  #show(image: UpstreamImage, size: number, names: RepositoryName[]): V1Image {
    const { id, json, ancestry, payload, tarsum } = image;
    return {
      id,
      origin: 'explicit',
      json,
      ancestry,
      layer: {
        size,
        seekable: true,
        open: (range) => this.#open(image, range ?? { start: 0, end: size - 1 }, names),
      },
      checksums: [payload, tarsum].filter((sum) => sum !== undefined),
    };
  }

  /** From the fetch that runs, or begins now; from the store when one has just ended. */
  async #open(
    image: UpstreamImage,
    range: { start: number; end: number },
    names: RepositoryName[],
  ): Promise<Readable> {
    const stored = await this.#kept(image, names);
    if (stored) return stored.layer.open(range);
    return (await this.#fetch(image, names)).open(range);
  }

  /** One fetch for each image, whoever asks for it on whatever worker. */
  #fetch(image: UpstreamImage, names: RepositoryName[]): Promise<Fetching> {
    const { id } = image;
    const running = this.#fetches.get(id);
    if (running !== undefined) {
      // Who joins may read it through repositories of his own.
      running
        .then((fetch) => fetch.stored)
        .then(() => this.#hold(id, names))
        .catch(() => undefined);
      return running;
    }
    const fetch = this.#begin(image, names);
    this.#fetches.set(id, fetch);
    fetch
      .then(({ stored }) => stored)
      .catch(() => undefined)
      .finally(() => this.#fetches.delete(id));
    return fetch;
  }

  async #begin(image: UpstreamImage, names: RepositoryName[]): Promise<Fetching> {
    const own = await this.#fetchAlone(image, names);
    if (own) return own;
    const { incoming } = this.#parts;
    return new FollowedFetch({
      file: incoming.shared ? incoming.file(image.id) : undefined,
      kept: () => this.#kept(image, names),
      takeOver: () => this.#fetchAlone(image, names),
    });
  }

  /** Undefined while another process fetches the layer. */
  async #fetchAlone(image: UpstreamImage, names: RepositoryName[]): Promise<Fetching | undefined> {
    const { client, counts, incoming, log } = this.#parts;
    const { id } = image;
    const lease = await incoming.claim(id);
    if (!lease) return undefined;
    const kept = await this.#kept(image, names);
    if (kept) {
      await lease.release();
      return { stored: Promise.resolve(), open: (range) => kept.layer.open(range) };
    }
    const fetch = new LayerFetch(image, {
      client,
      counts,
      through: () => this.#parts.claims.names(id),
      file: incoming.file(id),
      store: (file) => this.#keep(image, file, names),
    });
    fetch.stored
      .then(() => log.info('image mirrored', { imageId: id }))
      .catch((error: unknown) => log.warn('image not mirrored', { imageId: id, error }))
      .finally(() => lease.release())
      .catch(() => undefined);
    return fetch;
  }

  /** Stores the image and all below it; others may be fetching it already. */
  async #store(id: V1ImageId, names: RepositoryName[]): Promise<void> {
    const image = await this.#parts.upstream.get(id);
    if (!image) throw registryError('UNAVAILABLE', `the mirrored registry lacks image ${id}`);
    if (await this.#kept(image, names)) return;
    try {
      await (await this.#fetch(image, names)).stored;
    } catch (cause) {
      throw registryError('UNAVAILABLE', `image ${id} could not be mirrored`, { cause });
    }
  }

  /**
   * What is stored under this ID, if by upstream's records it is the same image. With accounts it counts only once it
   * came here through one of these repositories: records prove nothing to somebody who may not read what is stored.
   */
  async #kept(image: UpstreamImage, names: RepositoryName[]): Promise<V1Image | undefined> {
    const { id, json, payload } = image;
    const kept = await this.#parts.content.v1.find(id, readerThrough(names));
    if (!kept?.json.equals(json)) return undefined;
    const agrees =
      payload === undefined || kept.origin === 'virtual' || kept.checksums.includes(payload);
    return agrees ? kept : undefined;
  }

  /** Parents first: an image without them is not whole. */
  async #keep(image: UpstreamImage, file: string, names: RepositoryName[]): Promise<void> {
    const { id, json, ancestry } = image;
    const { content } = this.#parts;
    const parent = ancestry[1];
    if (parent !== undefined) {
      await this.#store(parent, names);
      const below = await content.v1.find(parent, ANYONE);
      if (below?.ancestry.join() !== ancestry.slice(1).join()) {
        throw new Error('the ancestry from upstream is not that of the parent');
      }
    }
    for (let tries = 1; ; tries += 1) {
      try {
        await content.pushes.take(
          { id, json, ancestry },
          { filename: file, link: true },
          { check: (sums) => check(sums, image) },
        );
        break;
      } catch (error) {
        if (!hasCode(error, 'UPLOAD_BUSY') || tries === BUSY_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
      }
    }
    await this.#hold(id, names);
  }

  async #hold(id: V1ImageId, names: RepositoryName[]): Promise<void> {
    for (const name of names) await this.#parts.content.repository(name).v1.hold([id]);
  }
}

function readerThrough(names: RepositoryName[]): V1Reader {
  if (names.length === 0) return ANYONE;
  return {
    unrestricted: false,
    mayPull: (name) => names.some((each) => each === name),
    claimant: '',
  };
}

/** Of two sums the payload sum counts, which covers every byte. */
function check({ payload, tarsums }: ComputedSums, image: UpstreamImage): void {
  const right =
    image.payload === undefined
      ? image.tarsum === undefined || tarsums.includes(image.tarsum)
      : image.payload === payload;
  if (!right) throw new Error('the layer from upstream does not match its checksum');
}
