import { dirname } from 'node:path/posix';
import { type Digest, isDigest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import type { GarbageRoot } from './garbage-collection.ts';
import type { Marks } from './garbage-marks.ts';
import { isImageId } from './names.ts';
import { blobFacts, bridgeRecord, diffBlob, v1ImageFile, v1ImagesRoot } from './paths.ts';

/** The images that V1 clients pushed keep their layers; what was noted of a blob goes with it. */
export class V1GarbageRoot implements GarbageRoot {
  readonly #driver: StorageDriver;

  constructor(driver: StorageDriver) {
    this.#driver = driver;
  }

  async mark(marks: Marks): Promise<void> {
    for await (const shard of this.#driver.list(v1ImagesRoot)) {
      for await (const id of this.#driver.list(`${v1ImagesRoot}/${shard}`)) {
        if (!isImageId(id)) continue;
        const bytes = await ifFound(this.#driver.get(v1ImageFile(id, 'layer')));
        if (!bytes) continue;
        const blob = field(bytes, 'blob');
        if (blob) marks.blob(blob);
        else
          marks.keepEverything(`V1 image ${id}: its layer record is damaged; nothing is deleted`);
      }
    }
  }

  async forget(digest: Digest): Promise<void> {
    const facts = await ifFound(this.#driver.get(blobFacts(digest)));
    const diffId = facts && field(facts, 'diffId');
    const paths = [dirname(blobFacts(digest)), dirname(bridgeRecord(digest, 'origin'))];
    if (diffId) paths.push(diffBlob(diffId, digest));
    for (const path of paths) await this.#driver.delete(path, { durable: false });
  }
}

/** A digest in a small JSON record; undefined when the record is torn. */
function field(bytes: Buffer, name: string): Digest | undefined {
  try {
    const value = (JSON.parse(bytes.toString()) as Record<string, unknown> | null)?.[name];
    return typeof value === 'string' && isDigest(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
