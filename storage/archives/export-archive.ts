import type { ContentStore } from '../content-store.ts';
import type { Digest } from '../digest.ts';
import { storageError } from '../errors.ts';
import type { Manifest, Platform } from '../manifest.ts';
import type { RepositoryName, Tag } from '../names.ts';
import { dockerFiles, type ExportedImage } from './docker-export.ts';
import { type ExportedManifest, layoutFiles } from './oci-export.ts';
import type { PlannedFile } from './tar-writer.ts';

export type ArchiveFormat = 'docker' | 'oci';

export const ARCHIVE_FORMATS: readonly ArchiveFormat[] = ['docker', 'oci'];

/** What to export: one tag, or all of a repository. */
export interface ExportSelection {
  repository: RepositoryName;
  tag?: Tag;
}

/**
 * The files of an archive of these images, all checked and sized before the first byte goes out. docker's format has
 * one platform of an index; OCI has everything. Throws NAME_UNKNOWN, TAG_UNKNOWN, or says why an image can't be told
 * in the format.
 */
export async function planArchive(
  store: ContentStore,
  selections: readonly ExportSelection[],
  format: ArchiveFormat,
  platform?: Platform,
): Promise<PlannedFile[]> {
  const exported: ExportedManifest[] = [];
  for (const selection of selections) exported.push(...(await select(store, selection)));
  if (format === 'oci') return layoutFiles(store, exported);
  return dockerFiles(store, await imagesOf(store, exported, platform));
}

/** The manifests that a selection names, each once, with its tags. */
async function select(
  store: ContentStore,
  { repository: name, tag }: ExportSelection,
): Promise<ExportedManifest[]> {
  const repository = store.repository(name);
  if (!(await repository.v1.exists())) {
    throw storageError('NAME_UNKNOWN', `repository name not known to registry: ${name}`);
  }
  const found = new Map<
    Digest,
    { repository: typeof repository; manifest: Manifest; tags: Tag[] }
  >();
  for (const each of tag === undefined ? await repository.tags.all() : [tag]) {
    const manifest = await repository.resolveTag(each);
    if (!manifest) throw await noManifest(store, name, each);
    const { digest } = manifest.descriptor;
    const known = found.get(digest) ?? { repository, manifest, tags: [] };
    known.tags.push(each);
    found.set(digest, known);
  }
  if (found.size === 0) throw storageError('TAG_UNKNOWN', `${name} has no tags`);
  return [...found.values()];
}

async function noManifest(store: ContentStore, name: RepositoryName, tag: Tag) {
  const id = await store.repository(name).v1.tag(tag);
  if (id === undefined) return storageError('TAG_UNKNOWN', `${name} has no tag ${tag}`);
  return storageError(
    'MANIFEST_INVALID',
    `${name}:${tag} is a V1 image (${id}) that has no V2 form; export it with \`export v1\``,
  );
}

/** Images by their configs, which is what docker knows them by; an index gives the image of one platform. */
async function imagesOf(
  store: ContentStore,
  exported: readonly ExportedManifest[],
  platform: Platform | undefined,
): Promise<ExportedImage[]> {
  const images = new Map<string, ExportedImage>();
  for (const { repository, manifest, tags } of exported) {
    const picked = await store.lowering.pick(
      repository,
      manifest,
      platform,
      platform !== undefined,
    );
    if (!picked?.config) {
      const what = manifest.kind === 'index' ? 'has no image for this platform' : 'is no image';
      throw storageError(
        'MANIFEST_INVALID',
        `${repository.name}:${tags[0]} ${what}; use the format oci`,
      );
    }
    const image = images.get(picked.config.digest) ?? { manifest: picked, names: [] };
    image.names.push(...tags.map((tag) => ({ repository: repository.name, tag: tag as Tag })));
    images.set(picked.config.digest, image);
  }
  return [...images.values()];
}
