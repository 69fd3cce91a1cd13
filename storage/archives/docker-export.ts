import { savedImages } from '../bridge/docker-save.ts';
import { JsonError } from '../bridge/json-scanner.ts';
import { decompressed } from '../bridge/layer-encoding.ts';
import { isBadLayer, type LayerFacts } from '../bridge/layer-facts.ts';
import { hasNoV1View, proveDiffIds } from '../bridge/lower.ts';
import type { ContentStore } from '../content-store.ts';
import { type Digest, hexOf } from '../digest.ts';
import { type RegistryError, storageError } from '../errors.ts';
import type { Manifest } from '../manifest.ts';
import type { RepositoryName, Tag } from '../names.ts';
import type { PlannedFile } from './tar-writer.ts';

/** An image to export, with the names that it shall have in the archive. */
export interface ExportedImage {
  manifest: Manifest;
  names: { repository: RepositoryName; tag: Tag }[];
}

/**
 * The files of an archive that `docker load` of any age takes: images in directories and `repositories` for docker up
 * to 1.9, `manifest.json` and configs for what came after (bridge.md 10.4). Layers are plain tars. Equal images and
 * layers stand in it once. Throws MANIFEST_INVALID for what docker can't load.
 */
export async function dockerFiles(
  store: ContentStore,
  images: readonly ExportedImage[],
): Promise<PlannedFile[]> {
  const files = new Map<string, PlannedFile>();
  const add = (file: PlannedFile) => {
    if (!files.has(file.name)) files.set(file.name, file);
  };
  const manifest: object[] = [];
  const repositories = new Map<string, Map<string, string>>();
  for (const { manifest: image, names } of images) {
    const { config, diffIds, layers } = await provedImage(store, image);
    const saved = savedOf(config, diffIds);
    for (const [index, { id, json }] of saved.entries()) {
      const layer = layers[index] as { digest: Digest; facts: LayerFacts };
      add(directory(`${id}/`));
      add(small(`${id}/VERSION`, '1.0'));
      add(small(`${id}/json`, json));
      add(plainTar(store, `${id}/layer.tar`, layer));
    }
    const configName = `${hexOf((image.config as { digest: Digest }).digest)}.json`;
    add(small(configName, config));
    manifest.push({
      Config: configName,
      RepoTags: names.length > 0 ? names.map((name) => `${name.repository}:${name.tag}`) : null,
      Layers: saved.map(({ id }) => `${id}/layer.tar`),
    });
    for (const { repository, tag } of names) {
      const tags = repositories.get(repository) ?? new Map<string, string>();
      repositories.set(repository, tags.set(tag, (saved.at(-1) as { id: string }).id));
    }
  }
  add(small('manifest.json', `${JSON.stringify(manifest)}\n`));
  if (repositories.size > 0) {
    const plain = [...repositories].map(([name, tags]) => [name, Object.fromEntries(tags)]);
    add(small('repositories', `${JSON.stringify(Object.fromEntries(plain))}\n`));
  }
  return [...files.values()];
}

async function provedImage(store: ContentStore, manifest: Manifest) {
  const bytes = manifest.config && (await store.blobs.get(manifest.config.digest));
  if (!manifest.config || !bytes) throw unloadable(manifest, 'its config is not stored');
  const facts = new Map<Digest, LayerFacts>();
  for (const { digest } of manifest.layers) {
    const found = await store.facts.find(digest);
    if (found && !isBadLayer(found)) facts.set(digest, found);
    else if (found)
      throw unloadable(manifest, `its layer ${digest} can't be unpacked: ${found.bad}`);
  }
  const parts = { config: manifest.config, layers: manifest.layers };
  const diffIds = proveDiffIds(parts, bytes, (digest) => facts.get(digest));
  if (hasNoV1View(diffIds)) throw unloadable(manifest, diffIds.detail);
  if (diffIds.length === 0) throw unloadable(manifest, 'it has no layers, which docker refuses');
  const layers = manifest.layers.map(({ digest }) => ({
    digest,
    facts: facts.get(digest) as LayerFacts,
  }));
  return { config: bytes, diffIds, layers };
}

function savedOf(config: Buffer, diffIds: readonly Digest[]) {
  try {
    return savedImages(config, diffIds);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw storageError(
      'MANIFEST_INVALID',
      `docker's types can't hold this config: ${error.message}; use the format oci`,
      { cause: error },
    );
  }
}

function directory(name: string): PlannedFile {
  return { name, size: 0, open: () => Buffer.alloc(0) };
}

function small(name: string, content: Buffer | string): PlannedFile {
  const bytes = Buffer.from(content);
  return { name, size: bytes.length, open: () => bytes };
}

function plainTar(
  store: ContentStore,
  name: string,
  { digest, facts }: { digest: Digest; facts: LayerFacts },
): PlannedFile {
  const { encoding, diffSize } = facts;
  return {
    name,
    size: diffSize,
    open: async () => {
      const blob = await store.blobs.read(digest);
      return encoding === 'none' ? blob : decompressed(blob, encoding, { maxBytes: diffSize });
    },
  };
}

function unloadable(manifest: Manifest, reason: string): RegistryError {
  return storageError(
    'MANIFEST_INVALID',
    `docker can't load this image: ${reason}; use the format oci`,
    {
      detail: manifest.descriptor.digest,
    },
  );
}
