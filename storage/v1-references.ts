import { Catalog } from './catalog.ts';
import { isDigest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import type { MarkOptions, Marks } from './garbage-marks.ts';
import { isImageId, isTag, type RepositoryName, type Tag, type V1ImageId } from './names.ts';
import { bridgeRecord, tagLink, v1List, v1TagMemo, v1TagsRoot } from './paths.ts';

/**
 * The V1 images that something names: tags that V1 clients wrote and that nobody moved since, configs of living
 * manifests that were made of an image, and lists of pushes that have just begun. A record that can't be read keeps
 * everything.
 */
export async function* namedV1Images(
  driver: StorageDriver,
  marks: Marks,
  { keepAfter }: MarkOptions,
): AsyncGenerator<V1ImageId> {
  for await (const name of new Catalog(driver).everywhere()) {
    for await (const tag of driver.list(v1TagsRoot(name))) {
      if (isTag(tag)) yield* tagged(driver, marks, name, tag);
    }
    const list = await ifFound(driver.stat(v1List(name)));
    if (list && list.modified > keepAfter) yield* idsIn(await driver.get(v1List(name)));
  }
  yield* originsOf(driver, marks);
}

/** A V1 tag counts while its link names the manifest that was made for it, or while it has none. */
async function* tagged(
  driver: StorageDriver,
  marks: Marks,
  name: RepositoryName,
  tag: Tag,
): AsyncGenerator<V1ImageId> {
  const bytes = await ifFound(driver.get(v1TagMemo(name, tag)));
  if (!bytes) return;
  const memo = objectIn(bytes);
  if (typeof memo?.imageId !== 'string' || !isImageId(memo.imageId)) {
    marks.keepEverything(`${name}: what tag ${tag} names over V1 is damaged; nothing is deleted`);
    return;
  }
  const link = await ifFound(driver.get(tagLink(name, tag)));
  const current = link?.toString('latin1').trim();
  const torn = current !== undefined && !isDigest(current);
  if (torn || memo.manifest === current) yield memo.imageId;
}

/** Images of which a config that stays was made: its V1 view is that image (bridge.md 4.8). */
async function* originsOf(driver: StorageDriver, marks: Marks): AsyncGenerator<V1ImageId> {
  for (const config of [...marks.blobs]) {
    const origin = await ifFound(driver.get(bridgeRecord(config, 'origin')));
    const id = origin && objectIn(origin)?.imageId;
    if (typeof id === 'string' && isImageId(id)) yield id;
  }
}

function* idsIn(bytes: Buffer): Generator<V1ImageId> {
  const list = parsed(bytes);
  for (const entry of Array.isArray(list) ? (list as unknown[]) : []) {
    const id = isObject(entry) && entry.id;
    if (typeof id === 'string' && isImageId(id)) yield id;
  }
}

function objectIn(bytes: Buffer): Record<string, unknown> | undefined {
  const value = parsed(bytes);
  return isObject(value) ? value : undefined;
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
