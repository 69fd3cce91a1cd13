import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BlobFacts, FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { isBadLayer, LayerDigester } from './bridge/layer-facts.ts';
import { createPayloadHash } from './bridge/payload-checksum.ts';
import { TarSum } from './bridge/tarsum.ts';
import { type Digest, digestSoFar } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound, storageError } from './errors.ts';
import type { ExplicitImages, LayerRecord } from './explicit-images.ts';
import { takeLease } from './lease.ts';
import type { V1ImageId } from './names.ts';
import { v1Claim, v1ImageFile, v1StagingDirectory, v1StagingFile } from './paths.ts';
import { readRecord } from './records.ts';
import type { V1Sums } from './v1-store.ts';

/** What is known of a staged layer once all of it arrived; a later request completes the image with it. */
interface Received {
  blob: Digest;
  size: number;
  facts: BlobFacts;
  payload: string;
  tarsums: string[];
}

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

  constructor(driver: StorageDriver, blobs: BlobStore, facts: FactStore, images: ExplicitImages) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#facts = facts;
    this.#images = images;
  }

  /** Whether this user has begun to push the image, and not finished. */
  async inProgress(id: V1ImageId, claimant: string): Promise<boolean> {
    return (await this.#json(id, claimant)) !== undefined;
  }

  /** Whether this user once uploaded the very content of this image. */
  async hasClaim(id: V1ImageId, claimant: string): Promise<boolean> {
    if (claimant === '') return false;
    return (await ifFound(this.#driver.stat(v1Claim(id, segment(claimant))))) !== undefined;
  }

  /** The ancestry of an image that is being pushed. */
  async ancestry(id: V1ImageId, claimant: string): Promise<V1ImageId[] | undefined> {
    const bytes = await this.#json(id, claimant);
    return bytes && splitStaged(bytes).ancestry;
  }

  /** Begins the push, or begins it again. A layer that came for other JSON is dropped: its sum covers both. */
  async begin(id: V1ImageId, json: Buffer, ancestry: V1ImageId[], claimant: string): Promise<void> {
    const staged = joinStaged(json, ancestry);
    const before = await this.#json(id, claimant);
    if (before?.equals(staged)) return;
    if (before) await this.#driver.delete(this.#directory(id, claimant), { durable: false });
    await this.#driver.put(this.#file(id, claimant, 'json'), staged, { durable: false });
  }

  /** Receives the layer, and finds in the one pass all that will be asked of it. */
  async receive(id: V1ImageId, source: Readable, claimant: string): Promise<void> {
    const lease = await takeLease(this.#driver, this.#file(id, claimant, 'lock'));
    if (!lease) {
      throw storageError('UPLOAD_BUSY', 'This layer is being uploaded by another request');
    }
    try {
      const bytes = await this.#json(id, claimant);
      if (!bytes) throw storageError('IMAGE_UNKNOWN', 'Image not found');
      await this.#stage(id, splitStaged(bytes).json, source, claimant);
    } finally {
      await lease.release();
    }
  }

  /**
   * Completes the image when one of the sums is right. Throws IMAGE_INVALID 'Checksum mismatch' when none is, or
   * when the layer never came; IMAGE_EXISTS when another content has the id.
   */
  async complete(id: V1ImageId, sums: V1Sums, claimant: string, twinOf: TwinOf): Promise<void> {
    const bytes = await this.#json(id, claimant);
    if (!bytes) throw storageError('IMAGE_UNKNOWN', 'Image not found');
    const received = await this.#received(id, claimant);
    if (!received) {
      throw storageError('IMAGE_INVALID', 'The layer of this image was not uploaded yet');
    }
    const right =
      sums.payload === received.payload ||
      (sums.tarsum !== undefined && received.tarsums.includes(sums.tarsum));
    if (!right) throw storageError('IMAGE_INVALID', 'Checksum mismatch');
    const { json, ancestry } = splitStaged(bytes);
    await this.#commit({ id, json, ancestry, received }, claimant, twinOf);
    await this.#driver.delete(this.#directory(id, claimant), { durable: false });
  }

  async #stage(id: V1ImageId, json: Buffer, source: Readable, claimant: string): Promise<void> {
    const layer = this.#file(id, claimant, 'layer');
    await this.#driver.delete(this.#file(id, claimant, 'received'), { durable: false });
    await this.#driver.delete(layer, { durable: false });
    const payload = createPayloadHash(json);
    const tarSum = new TarSum();
    const digester = new LayerDigester({
      ...this.#facts.limits,
      onTar: (chunk) => tarSum.write(chunk),
    });
    let size: number;
    try {
      size = await this.#driver.append(layer, 0, source, (chunk) => {
        payload.update(chunk);
        return digester.write(chunk);
      });
    } catch (error) {
      digester.abort();
      throw error;
    }
    const [facts] = await Promise.all([digester.finish(), this.#driver.commit(layer)]);
    const received: Received = {
      blob: digester.blobDigest as Digest,
      size,
      facts,
      payload: digestSoFar(payload, 'sha256'),
      tarsums: [isBadLayer(facts) ? undefined : tarSum.finish(json)].filter(
        (sum) => sum !== undefined,
      ),
    };
    await this.#driver.put(this.#file(id, claimant, 'received'), JSON.stringify(received), {
      durable: false,
    });
  }

  async #commit(
    push: { id: V1ImageId; json: Buffer; ancestry: V1ImageId[]; received: Received },
    claimant: string,
    twinOf: TwinOf,
  ): Promise<void> {
    const { id, json, ancestry, received } = push;
    const lease = await takeLease(this.#driver, v1ImageFile(id, 'lock'));
    if (!lease)
      throw storageError('UPLOAD_BUSY', 'This image is being completed by another request');
    try {
      const present = await this.#images.get(id);
      if (present) {
        if (!present.json.equals(json) || !present.checksums.includes(received.payload)) {
          throw storageError('IMAGE_EXISTS', 'Image already exists');
        }
      } else {
        const own = layerRecord(received);
        const twin = await twinOf(ancestry, own);
        if (!twin) await this.#adopt(id, claimant, received);
        const checksums = [received.payload, ...received.tarsums];
        await this.#images.put({ id, json, ancestry, layer: twin ?? own, checksums });
      }
      if (claimant !== '') await this.#driver.put(v1Claim(id, segment(claimant)), '');
    } finally {
      await lease.release();
    }
  }

  async #adopt(id: V1ImageId, claimant: string, received: Received): Promise<void> {
    const { blob, size, facts } = received;
    if (size === 0) await this.#blobs.put(Buffer.alloc(0), blob);
    else await this.#blobs.adopt(this.#file(id, claimant, 'layer'), blob, size);
    await this.#facts.record(blob, facts);
  }

  async #json(id: V1ImageId, claimant: string): Promise<Buffer | undefined> {
    return ifFound(this.#driver.get(this.#file(id, claimant, 'json')));
  }

  async #received(id: V1ImageId, claimant: string): Promise<Received | undefined> {
    return readRecord<Received>(this.#driver, this.#file(id, claimant, 'received'));
  }

  #directory(id: V1ImageId, claimant: string): string {
    return v1StagingDirectory(id, segment(claimant));
  }

  #file(id: V1ImageId, claimant: string, file: 'json' | 'layer' | 'received' | 'lock'): string {
    return v1StagingFile(id, segment(claimant), file);
  }
}

/** A user name as a path segment. */
function segment(claimant: string): string {
  if (claimant === '') return 'anonymous';
  return createHash('sha256').update(claimant).digest('hex').slice(0, 32);
}

/** Ancestry and JSON lie in one file, so that they can't disagree after a crash. */
function joinStaged(json: Buffer, ancestry: V1ImageId[]): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(ancestry)}\n`), json]);
}

function splitStaged(bytes: Buffer): { json: Buffer; ancestry: V1ImageId[] } {
  const end = bytes.indexOf('\n');
  return {
    ancestry: JSON.parse(bytes.subarray(0, end).toString()) as V1ImageId[],
    json: bytes.subarray(end + 1),
  };
}

function layerRecord({ blob, size, facts }: Received): LayerRecord {
  const { encoding } = facts;
  if (isBadLayer(facts)) return { blob, size, encoding };
  return { blob, size, encoding, diffId: facts.diffId, diffSize: facts.diffSize };
}
