import { LRUCache } from 'lru-cache';
import type { BlobStore } from './blobs.ts';
import type { LayerEncoding } from './bridge/layer-encoding.ts';
import type { Digest } from './digest.ts';
import type { FileStamp, StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound } from './errors.ts';
import type { V1ImageId } from './names.ts';
import { v1ImageRecord } from './paths.ts';
import { putIfAbsent } from './records.ts';

/** The layer of an image. */
export interface LayerRecord {
  blob: Digest;
  /** Bytes of the blob. */
  size: number;
  encoding: LayerEncoding;
  /** Absent when the layer could not be unpacked; such an image has no V2 form. */
  diffId?: Digest;
  diffSize?: number;
}

/** An image as a V1 client pushed it, complete. */
export interface ExplicitImage {
  id: V1ImageId;
  /** The bytes as sent. */
  json: Buffer;
  /** The image first, then its parents down to the base. */
  ancestry: V1ImageId[];
  layer: LayerRecord;
  checksums: string[];
}

/** The first line of an image's record; its JSON follows as it was sent. */
interface ImageLine extends LayerRecord {
  ancestry: V1ImageId[];
  checksums: string[];
}

interface Cached {
  image: ExplicitImage;
  /** Of the record, by which an image is known that was collected as garbage and pushed anew. */
  stamp: FileStamp | undefined;
  record: Buffer;
}

/** Images that V1 clients pushed, each in one small record. Once complete they never change, but garbage collection takes them. */
export class ExplicitImages {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #cache: LRUCache<V1ImageId, Cached>;

  constructor(driver: StorageDriver, blobs: BlobStore, cacheBytes: number) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#cache = new LRUCache({
      maxSize: Math.max(cacheBytes, 1),
      sizeCalculation: ({ image, record }) => record.length + image.ancestry.length * 80 + 700,
    });
  }

  /** The image, if it is complete. */
  async get(id: V1ImageId): Promise<ExplicitImage | undefined> {
    const { local } = this.#driver;
    const path = v1ImageRecord(id);
    const stamp = local?.stamp(path);
    if (local && !stamp) return undefined;
    const cached = this.#cache.get(id);
    if (cached && stamp && isSame(stamp, cached.stamp)) return cached.image;
    const record = await ifFound(this.#driver.get(path));
    if (!record) return undefined;
    if (cached && !local && cached.record.equals(record)) return cached.image;
    const image = imageOf(id, record);
    // After a power cut the record may be there without its layer.
    if ((await this.#blobs.size(image.layer.blob)) !== image.layer.size) return undefined;
    this.#cache.set(id, { image, stamp, record });
    return image;
  }

  /**
   * Stores a complete image, which nobody sees before `after` has happened, such as that its layer is seen. Throws
   * ConditionFailedError when there is an image of this ID.
   */
  async put(image: ExplicitImage, after?: Promise<unknown>): Promise<void> {
    const { id } = image;
    const record = recordOf(image);
    const path = v1ImageRecord(id);
    const options = after === undefined ? {} : { after };
    if (!(await putIfAbsent(this.#driver, path, record, options))) await this.#mend(id, record);
    this.#cache.set(id, { image, stamp: this.#driver.local?.stamp(path), record });
  }

  /** Takes the place of a record that has lost its layer. */
  async #mend(id: V1ImageId, record: Buffer): Promise<void> {
    const path = v1ImageRecord(id);
    const present = await ifFound(this.#driver.get(path));
    if (!present || (await this.get(id))) throw new ConditionFailedError(path);
    await this.#driver.put(path, record, { condition: { unchanged: present } });
  }
}

/** The record of a complete image. */
export function recordOf({ layer, ancestry, checksums, json }: Omit<ExplicitImage, 'id'>): Buffer {
  const line: ImageLine = { ...layer, ancestry, checksums };
  return Buffer.concat([Buffer.from(`${JSON.stringify(line)}\n`), json]);
}

/** The line that a record begins with. Throws SyntaxError for a damaged one. */
function imageLine(record: Buffer): ImageLine {
  return JSON.parse(record.toString('utf8', 0, lineEnd(record))) as ImageLine;
}

function imageOf(id: V1ImageId, record: Buffer): ExplicitImage {
  const { ancestry, checksums, ...layer } = imageLine(record);
  return { id, json: record.subarray(lineEnd(record) + 1), ancestry, layer, checksums };
}

function lineEnd(record: Buffer): number {
  return Math.max(0, record.indexOf('\n'));
}

function isSame(one: FileStamp, other: FileStamp | undefined): boolean {
  return one.inode === other?.inode && one.modified === other.modified && one.size === other.size;
}
