import type { LocalFiles, StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { type LayerRecord, recordOf } from './explicit-images.ts';
import { isImageId, type V1ImageId } from './names.ts';
import {
  v1ClaimsRoot,
  v1HoldersRoot,
  v1ImageRecord,
  v1ImagesRoot,
  v1ReadersRoot,
} from './paths.ts';
import { putIfAbsent } from './records.ts';

/** What `images/<hh>` can be; today's records have an image's whole ID there. */
const SHARDS = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'));

/** Where today lies what the folder of an image held, by the names there. */
const MOVED = { claims: v1ClaimsRoot, holders: v1HoldersRoot, readers: v1ReadersRoot };

/**
 * Brings V1 images that earlier builds kept, each in a folder `images/<hh>/<id>`, to where they lie today, and gives how
 * many. It may be broken off and run again, and by several processes at once; unfinished pushes are dropped. Where there
 * are none it costs a look at 256 names.
 */
export async function upgradeV1Layout(driver: StorageDriver): Promise<number> {
  // Stores that are not local came later.
  const { local } = driver;
  if (!local?.stamp(v1ImagesRoot)) return 0;
  let images = 0;
  for (const shard of SHARDS) {
    const folder = `${v1ImagesRoot}/${shard}`;
    if (!local.stamp(folder)) continue;
    for await (const id of driver.list(folder)) {
      if (isImageId(id) && (await upgradeImage(driver, local, id, `${folder}/${id}`))) images += 1;
    }
    await driver.delete(folder);
  }
  return images;
}

/** Gives whether there was a complete image. */
async function upgradeImage(
  driver: StorageDriver,
  local: LocalFiles,
  id: V1ImageId,
  folder: string,
): Promise<boolean> {
  for (const [name, rootOf] of Object.entries(MOVED)) {
    for await (const file of driver.list(`${folder}/${name}`)) {
      const content = await ifFound(driver.get(`${folder}/${name}/${file}`));
      if (content) await putIfAbsent(driver, `${rootOf(id)}/${file}`, content);
    }
  }
  const layer = local.get(`${folder}/layer`);
  const json = local.get(`${folder}/json`);
  const ancestry = local.get(`${folder}/ancestry`);
  if (!layer || !json || !ancestry) return false;
  const record = recordOf({
    json,
    layer: JSON.parse(layer.toString()) as LayerRecord,
    ancestry: JSON.parse(ancestry.toString()) as V1ImageId[],
    checksums: JSON.parse(local.get(`${folder}/checksum`)?.toString() ?? '[]') as string[],
  });
  return putIfAbsent(driver, v1ImageRecord(id), record);
}
