import type { ContentStore } from '../content-store.ts';
import { isImageId, type Tag, type V1ImageId } from '../names.ts';
import type { Repository } from '../repository.ts';
import type { V1Reader } from '../v1-images.ts';
import { parseImageJson } from '../v1-json.ts';
import { badArchive, isObject, parseArchiveJson } from './archive-json.ts';
import type { Candidate, StoredImage } from './candidate.ts';
import { type ImageName, nameInArchive } from './image-reference.ts';
import type { Spool, SpooledFile } from './spool.ts';
import { Lineage } from './v1-lineage.ts';
import type { TreeImage } from './v1-tree.ts';

/**
 * The images of an archive that docker up to 1.9 saved: V1 images in directories, and their names in `repositories`
 * (bridge.md 10.1). They keep their IDs, as if they were pushed. Undefined when it is none.
 */
export async function v1ImagesOf(
  store: ContentStore,
  spool: Spool,
  reader: V1Reader,
): Promise<Candidate[] | undefined> {
  const images = await readImages(spool);
  const repositories = await spool.read('repositories');
  if (images.size === 0 && !repositories) return undefined;
  const lineage = new Lineage(images);
  const named = repositories ? parseRepositories(repositories) : new Map<V1ImageId, ImageName[]>();
  const parents = new Set([...images.values()].map(({ parent }) => parent));
  const tops =
    named.size > 0 ? [...named.keys()] : [...images.keys()].filter((id) => !parents.has(id));
  return tops.map((id) => ({
    label: id,
    names: named.get(id) ?? [],
    store: (repository, tags) =>
      storeImage({ store, spool, lineage, reader }, id, repository, tags),
  }));
}

async function readImages(spool: Spool): Promise<Map<V1ImageId, TreeImage>> {
  const images = new Map<V1ImageId, TreeImage>();
  for (const name of spool.names()) {
    const [id = '', file, ...rest] = name.split('/');
    if (file !== 'json' || rest.length > 0 || !isImageId(id)) continue;
    const image: TreeImage = { id, parent: undefined, ancestry: undefined, layerBytes: 0 };
    images.set(id, image);
    try {
      image.parent = parseImageJson((await spool.read(name)) as Buffer, id).parent;
    } catch (error) {
      image.problem = (error as Error).message;
    }
    if (!spool.find(`${id}/layer.tar`)) image.problem ??= 'its layer.tar is missing';
  }
  return images;
}

function parseRepositories(bytes: Buffer): Map<V1ImageId, ImageName[]> {
  const repositories = parseArchiveJson(bytes, 'repositories');
  if (!isObject(repositories)) throw badArchive('repositories is no object');
  const names = new Map<V1ImageId, ImageName[]>();
  for (const [name, tags] of Object.entries(repositories)) {
    if (!isObject(tags)) throw badArchive(`repositories has no tags for ${name}`);
    for (const [tag, id] of Object.entries(tags)) {
      if (typeof id !== 'string' || !isImageId(id)) {
        throw badArchive(`repositories names no image ID for ${name}:${tag}`);
      }
      names.set(id, [...(names.get(id) ?? []), nameInArchive(`${name}:${tag}`)]);
    }
  }
  return names;
}

async function storeImage(
  parts: { store: ContentStore; spool: Spool; lineage: Lineage; reader: V1Reader },
  top: V1ImageId,
  repository: Repository,
  tags: readonly Tag[],
): Promise<StoredImage> {
  const { store, spool, lineage, reader } = parts;
  const standing = lineage.standing(top);
  if ('reason' in standing) throw badArchive(`image ${top}: ${standing.reason}`);
  const line = lineage.ancestry(top);
  for (let at = line.length - 1; at >= 0; at -= 1) {
    const id = line[at] as V1ImageId;
    const json = (await spool.read(`${id}/json`)) as Buffer;
    const layer = spool.find(`${id}/layer.tar`) as SpooledFile;
    await store.pushes.take(
      { id, json, ancestry: line.slice(at) },
      { open: () => spool.open(layer) },
      { claimant: reader.claimant },
    );
  }
  for (const tag of tags) await repository.v1.setTag(tag, top, reader);
  const [tag] = tags;
  const digest = tag && (await repository.tags.resolve(tag));
  return { imageId: top, ...(digest !== undefined && { digest }) };
}
