import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { isBadLayer, LayerDigester } from './bridge/layer-facts.ts';
import { createPayloadHash } from './bridge/payload-checksum.ts';
import { TarSum, type TarSumVersion } from './bridge/tarsum.ts';
import { type Digest, digestSoFar } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound, storageError } from './errors.ts';
import type { ExplicitImages, LayerRecord } from './explicit-images.ts';
import { takeLease } from './lease.ts';
import type { V1ImageId } from './names.ts';
import { v1Claim, v1ImportLock } from './paths.ts';
import { putIfAbsent } from './records.ts';
import { type Received, segment, V1Staging } from './v1-staging.ts';
import type { V1Sums } from './v1-store.ts';

/** What was computed of a layer on the way in. */
export interface ComputedSums {
  payload: string;
  /** Empty when the layer is no tar. */
  tarsums: string[];
}

/** A layer that lies at hand: a local file, which is linked where it may be, or anything that can be read. */
export type LayerAtHand = { filename: string; link: boolean } | { open(): Promise<Readable> };

/** Brings its bytes to where the layer is staged, past the tap, and gives their number. */
type Fill = (path: string, tap: (chunk: Buffer) => void | Promise<void>) => Promise<number>;

/** No user name: those who import have a staging place of their own. */
const IMPORTER = '\0import';

/** By their labels. */
const OTHER_TARSUMS: Record<string, TarSumVersion> = {
  tarsum: 'v0-nameless',
  'tarsum.v1': 'v1',
  'tarsum.dev': 'dev',
};

/** A layer with the same tar inside that is stored already and stands for this one; undefined for none. */
export type TwinOf = (
  ancestry: readonly V1ImageId[],
  layer: LayerRecord,
) => Promise<LayerRecord | undefined>;

/** A push in progress: JSON, then layer, then checksum (v1.md 1.6). Each user's lies apart until it is proved. */
export class V1Pushes {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #facts: FactStore;
  readonly #images: ExplicitImages;
  readonly #staging: V1Staging;

  constructor(driver: StorageDriver, blobs: BlobStore, facts: FactStore, images: ExplicitImages) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#facts = facts;
    this.#images = images;
    this.#staging = new V1Staging(driver);
  }

  /** Whether this user has begun to push the image, and not finished. */
  inProgress(id: V1ImageId, claimant: string): Promise<boolean> {
    return this.#staging.has(id, claimant);
  }

  /** Whether this user once uploaded the very content of this image. */
  async hasClaim(id: V1ImageId, claimant: string): Promise<boolean> {
    if (claimant === '') return false;
    return (await ifFound(this.#driver.stat(v1Claim(id, segment(claimant))))) !== undefined;
  }

  /** The ancestry of an image that is being pushed. */
  async ancestry(id: V1ImageId, claimant: string): Promise<V1ImageId[] | undefined> {
    return (await this.#staging.get(id, claimant))?.ancestry;
  }

  /** Begins the push, or begins it again. A layer that came for other JSON is dropped: its sum covers both. */
  begin(id: V1ImageId, json: Buffer, ancestry: V1ImageId[], claimant: string): Promise<void> {
    return this.#staging.begin(id, { json, ancestry }, claimant);
  }

  /** Receives the layer, and finds in the one pass all that will be asked of it. */
  async receive(
    id: V1ImageId,
    source: Readable,
    claimant: string,
    onBytes?: (bytes: number) => void,
  ): Promise<void> {
    const lease = await takeLease(this.#driver, this.#staging.file(id, claimant, 'lock'));
    if (!lease) {
      throw storageError('UPLOAD_BUSY', 'This layer is being uploaded by another request');
    }
    try {
      const staged = await this.#staging.get(id, claimant);
      if (!staged) throw storageError('IMAGE_UNKNOWN', 'Image not found');
      const fill: Fill = (path, tap) =>
        this.#driver.append(path, 0, source, (chunk) => {
          onBytes?.(chunk.length);
          return tap(chunk);
        });
      await this.#stage(id, staged.json, fill, claimant, await this.#isSumLikely(staged.ancestry));
      this.#staging.beginFlush(id, claimant);
    } finally {
      await lease.release();
    }
  }

  /**
   * Takes an image whole, from an old tree or an archive; everything under it is stored. `check` hears the sums and
   * throws when they are wrong; nothing of the image is kept then. Gives how its bytes came. Throws IMAGE_EXISTS when
   * another content has the id, UPLOAD_BUSY.
   */
  async take(
    image: { id: V1ImageId; json: Buffer; ancestry: V1ImageId[] },
    layer: LayerAtHand,
    options: {
      check?(sums: ComputedSums): void;
      onBytes?(bytes: number): void;
      /** The user who brings it; he may read it from then on. */
      claimant?: string;
    } = {},
  ): Promise<'linked' | 'copied'> {
    const { id, json, ancestry } = image;
    const lease = await takeLease(this.#driver, v1ImportLock(id));
    if (!lease)
      throw storageError('UPLOAD_BUSY', 'This image is being imported by another process');
    try {
      await this.#staging.drop(id, IMPORTER);
      let linked = false;
      const received = await this.#stage(
        id,
        json,
        async (path, tap) => {
          linked =
            'filename' in layer &&
            layer.link &&
            this.#driver.local?.link?.(layer.filename, path) === true;
          return this.#bring(layer, path, linked, async (chunk) => {
            options.onBytes?.(chunk.length);
            await tap(chunk);
          });
        },
        IMPORTER,
      );
      options.check?.({ payload: received.payload, tarsums: received.tarsums ?? [] });
      // A tree that is brought in keeps its own layers: the next run must find what this one left.
      const noTwin = async () => undefined;
      const push = { id, json, ancestry, received };
      await this.#commit(push, IMPORTER, options.claimant ?? '', noTwin);
      return linked ? 'linked' : 'copied';
    } finally {
      await this.#staging.drop(id, IMPORTER);
      await lease.release();
    }
  }

  async #bring(
    layer: LayerAtHand,
    path: string,
    linked: boolean,
    tap: (chunk: Buffer) => Promise<void>,
  ): Promise<number> {
    if (linked) {
      let size = 0;
      for await (const chunk of await this.#driver.read(path)) {
        size += (chunk as Buffer).length;
        await tap(chunk as Buffer);
      }
      return size;
    }
    const source =
      'open' in layer
        ? await layer.open()
        : createReadStream(layer.filename, { highWaterMark: 256 * 1024 });
    return this.#driver.append(path, 0, source, tap);
  }

  /**
   * Completes the image when one of the sums is right. Throws IMAGE_INVALID 'Checksum mismatch' when none is, or
   * when the layer never came; IMAGE_EXISTS when another content has the id.
   */
  async complete(id: V1ImageId, sums: V1Sums, claimant: string, twinOf: TwinOf): Promise<void> {
    // Nobody may begin the layer again between its check and its place among the blobs.
    const lease = await takeLease(this.#driver, this.#staging.file(id, claimant, 'lock'));
    if (!lease) {
      throw storageError('UPLOAD_BUSY', 'This layer is being uploaded by another request');
    }
    try {
      await this.#complete(id, sums, claimant, twinOf);
    } finally {
      await lease.release();
    }
  }

  async #complete(id: V1ImageId, sums: V1Sums, claimant: string, twinOf: TwinOf): Promise<void> {
    const staged = await this.#staging.get(id, claimant);
    if (!staged) throw storageError('IMAGE_UNKNOWN', 'Image not found');
    const received = await this.#staging.received(id, claimant);
    if (!received) {
      throw storageError('IMAGE_INVALID', 'The layer of this image was not uploaded yet');
    }
    const { json, ancestry } = staged;
    const tarsums = await this.#tarsums(id, json, received, sums.tarsum, claimant);
    const right =
      sums.payload === received.payload ||
      (sums.tarsum !== undefined &&
        (tarsums.includes(sums.tarsum) ||
          (await this.#otherTarsum(id, json, sums.tarsum, claimant)) === sums.tarsum));
    if (!right) throw storageError('IMAGE_INVALID', 'Checksum mismatch');
    const push = { id, json, ancestry, received: { ...received, tarsums } };
    await this.#commit(push, claimant, claimant, twinOf);
    await this.#staging.drop(id, claimant);
  }

  /**
   * Whether the client will send a tarsum, which costs another hash of the layer: all engines do, and whoever sent none
   * for the parent will send none for this one. A wrong guess costs a second look at the layer.
   */
  async #isSumLikely([, parent]: readonly V1ImageId[]): Promise<boolean> {
    const below = parent && (await this.#images.get(parent));
    return !below || below.checksums.some((sum) => sum.startsWith('tarsum'));
  }

  /** The usual tarsum of a layer whose client sent one, if it is a tar. */
  async #tarsums(
    id: V1ImageId,
    json: Buffer,
    { tarsums }: Received,
    asked: string | undefined,
    claimant: string,
  ): Promise<string[]> {
    if (asked === undefined) return [];
    if (tarsums) return tarsums;
    const sum = await this.#readTarsum(id, json, 'v0', claimant);
    return sum === undefined ? [] : [sum];
  }

  /** The tarsum by the rules of the one that was sent, where those are not the usual ones. */
  async #otherTarsum(
    id: V1ImageId,
    json: Buffer,
    asked: string,
    claimant: string,
  ): Promise<string | undefined> {
    const version = OTHER_TARSUMS[asked.slice(0, Math.max(0, asked.indexOf('+')))];
    return version && this.#readTarsum(id, json, version, claimant);
  }

  /** Reads the layer again: the one pass makes the sum that is likely only. Undefined when it is no tar. */
  async #readTarsum(
    id: V1ImageId,
    json: Buffer,
    version: TarSumVersion,
    claimant: string,
  ): Promise<string | undefined> {
    const tarSum = new TarSum(version);
    const digester = new LayerDigester({
      ...this.#facts.limits,
      blobDigest: false,
      onTar: (chunk) => tarSum.write(chunk),
    });
    for await (const chunk of await this.#driver.read(this.#staging.file(id, claimant, 'data'))) {
      await digester.write(chunk as Buffer);
    }
    return isBadLayer(await digester.finish()) ? undefined : tarSum.finish(json);
  }

  async #stage(
    id: V1ImageId,
    json: Buffer,
    fill: Fill,
    claimant: string,
    withTarsum = true,
  ): Promise<Received> {
    const layer = await this.#staging.makeRoom(id, claimant);
    const payload = createPayloadHash(json);
    const tarSum = withTarsum ? new TarSum() : undefined;
    const digester = new LayerDigester({
      ...this.#facts.limits,
      ...(tarSum && { onTar: (chunk) => tarSum.write(chunk) }),
    });
    let size: number;
    try {
      size = await fill(layer, (chunk) => {
        payload.update(chunk);
        return digester.write(chunk);
      });
    } catch (error) {
      digester.abort();
      throw error;
    }
    const facts = await digester.finish();
    const received: Received = {
      blob: digester.blobDigest as Digest,
      size,
      facts,
      payload: digestSoFar(payload, 'sha256'),
      ...(tarSum && {
        tarsums: [isBadLayer(facts) ? undefined : tarSum.finish(json)].filter(
          (sum) => sum !== undefined,
        ),
      }),
    };
    await this.#staging.note(id, claimant, received);
    return received;
  }

  async #commit(
    push: { id: V1ImageId; json: Buffer; ancestry: V1ImageId[]; received: Received },
    stagedBy: string,
    claimant: string,
    twinOf: TwinOf,
  ): Promise<void> {
    const { id, json, ancestry, received } = push;
    let stored: Promise<unknown> | undefined;
    if (!(await this.#isPresent(id, json, received))) {
      const own = layerRecord(received);
      const twin = await twinOf(ancestry, own);
      const checksums = [received.payload, ...(received.tarsums ?? [])];
      const image = { id, json, ancestry, layer: twin ?? own, checksums };
      const layer = twin ? undefined : this.#adopt(id, stagedBy, received);
      stored = Promise.all([this.#images.put(image, layer?.shown), layer?.durable]).catch(
        async (error) => {
          // Of several who complete the image at the same time one is first.
          const lost = error instanceof ConditionFailedError;
          if (!lost || !(await this.#isPresent(id, json, received))) throw error;
        },
      );
    }
    await (claimant === '' ? stored : this.#claim(id, claimant, stored));
  }

  /** Throws IMAGE_EXISTS when the image has another content. */
  async #isPresent(id: V1ImageId, json: Buffer, { payload }: Received): Promise<boolean> {
    const present = await this.#images.get(id);
    if (!present) return false;
    if (present.json.equals(json) && present.checksums.includes(payload)) return true;
    throw storageError('IMAGE_EXISTS', 'Image already exists');
  }

  /** Notes that the user has this very image, which shows once it is stored. */
  async #claim(
    id: V1ImageId,
    claimant: string,
    stored: Promise<unknown> | undefined,
  ): Promise<void> {
    const path = v1Claim(id, segment(claimant));
    await putIfAbsent(this.#driver, path, '', stored === undefined ? {} : { after: stored });
  }

  /** Makes the staged layer a blob: first everybody can see it, then it would survive a power cut. */
  #adopt(
    id: V1ImageId,
    claimant: string,
    { blob, size, facts }: Received,
  ): { shown: Promise<unknown>; durable: Promise<unknown> } {
    let show = () => {};
    const seen = new Promise<void>((resolve) => {
      show = resolve;
    });
    const flushed = this.#staging.isFlushed(id, claimant);
    const adopted =
      size === 0
        ? this.#blobs.put(Buffer.alloc(0), blob)
        : this.#blobs.adoptDirectory(this.#staging.directory(id, claimant), blob, size, {
            flushed,
            shown: show,
          });
    const durable = Promise.all([adopted, this.#facts.record(blob, facts)]);
    return { shown: Promise.race([seen, durable]), durable };
  }
}

function layerRecord({ blob, size, facts }: Received): LayerRecord {
  const { encoding } = facts;
  if (isBadLayer(facts)) return { blob, size, encoding };
  return { blob, size, encoding, diffId: facts.diffId, diffSize: facts.diffSize };
}
