import { LRUCache } from 'lru-cache';
import type { LayerEncoding } from './bridge/layer-encoding.ts';
import type { Digest } from './digest.ts';
import type { FileStamp, StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import type { V1ImageId } from './names.ts';
import { v1ImageFile } from './paths.ts';
import { putAll } from './put-all.ts';

/** The `layer` record of an image; its presence says that the image is complete. */
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

interface Cached {
  image: ExplicitImage;
  /** Of the layer record, by which an image is known that was collected as garbage and pushed anew. */
  stamp: FileStamp | undefined;
  record: Buffer;
}

/** Images that V1 clients pushed, in small records. Once complete they never change, but garbage collection takes them. */
export class ExplicitImages {
  readonly #driver: StorageDriver;
  readonly #cache: LRUCache<V1ImageId, Cached>;

  constructor(driver: StorageDriver, cacheBytes: number) {
    this.#driver = driver;
    this.#cache = new LRUCache({
      maxSize: Math.max(cacheBytes, 1),
      sizeCalculation: ({ image }) => image.json.length + image.ancestry.length * 80 + 700,
    });
  }

  /** The image, if it is complete. */
  async get(id: V1ImageId): Promise<ExplicitImage | undefined> {
    const { local } = this.#driver;
    const path = v1ImageFile(id, 'layer');
    const stamp = local?.stamp(path);
    if (local && !stamp) return undefined;
    const cached = this.#cache.get(id);
    if (cached && stamp && isSame(stamp, cached.stamp)) return cached.image;
    const record = await ifFound(this.#driver.get(path));
    if (!record) return undefined;
    if (cached && !local && cached.record.equals(record)) return cached.image;
    const [json, ancestry, checksums] = await Promise.all([
      this.#driver.get(v1ImageFile(id, 'json')),
      this.#driver.get(v1ImageFile(id, 'ancestry')),
      ifFound(this.#driver.get(v1ImageFile(id, 'checksum'))),
    ]);
    const image: ExplicitImage = {
      id,
      json,
      ancestry: JSON.parse(ancestry.toString()) as V1ImageId[],
      layer: JSON.parse(record.toString()) as LayerRecord,
      checksums: checksums ? (JSON.parse(checksums.toString()) as string[]) : [],
    };
    this.#cache.set(id, { image, stamp, record });
    return image;
  }

  /**
   * Stores a complete image; the layer record comes last, and with it the image becomes readable. Before it comes
   * whatever else is still on its way to the disk, such as the layer itself.
   */
  async put(image: ExplicitImage, before?: Promise<void>): Promise<void> {
    const { id } = image;
    const records = [
      { path: v1ImageFile(id, 'json'), content: image.json },
      { path: v1ImageFile(id, 'ancestry'), content: JSON.stringify(image.ancestry) },
      { path: v1ImageFile(id, 'checksum'), content: JSON.stringify(image.checksums) },
    ];
    await Promise.all([putAll(this.#driver, records), before]);
    await this.#driver.put(v1ImageFile(id, 'layer'), JSON.stringify(image.layer));
  }
}

function isSame(one: FileStamp, other: FileStamp | undefined): boolean {
  return one.inode === other?.inode && one.modified === other.modified && one.size === other.size;
}
