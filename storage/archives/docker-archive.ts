import { EMPTY_TAR_GZIP } from '../bridge/chain-id.ts';
import { claimedDiffIds } from '../bridge/image-config.ts';
import { JsonError } from '../bridge/json-scanner.ts';
import { decompressed } from '../bridge/layer-encoding.ts';
import { isBadLayer, type LayerFacts } from '../bridge/layer-facts.ts';
import { type V2Layer, v2Layer, viewsOf } from '../bridge/lift.ts';
import { RawMap } from '../bridge/raw-map.ts';
import type { ContentStore } from '../content-store.ts';
import { type Digest, digestOf, hexOf } from '../digest.ts';
import { parseManifest } from '../manifest.ts';
import type { Tag } from '../names.ts';
import type { Repository } from '../repository.ts';
import { badArchive, isObject, isTextList, parseArchiveJson } from './archive-json.ts';
import type { Candidate, StoredImage } from './candidate.ts';
import { entryName } from './entry-names.ts';
import { nameInArchive } from './image-reference.ts';
import type { Spool, SpooledFile } from './spool.ts';

/** An entry of `manifest.json` (bridge.md 10.2). */
interface Item {
  config: string;
  layers: string[];
  repoTags: string[];
}

/** The images of an archive that docker 1.10 and later, podman or skopeo saved; undefined when it is none. */
export async function dockerImages(
  store: ContentStore,
  spool: Spool,
): Promise<Candidate[] | undefined> {
  const bytes = await spool.read('manifest.json');
  if (!bytes) return undefined;
  return parseItems(bytes).map((item) => ({
    label: item.config,
    names: item.repoTags.map(nameInArchive),
    store: (repository, tags) => storeImage(store, spool, item, repository, tags),
  }));
}

function parseItems(bytes: Buffer): Item[] {
  const items = parseArchiveJson(bytes, 'manifest.json');
  if (!Array.isArray(items)) throw badArchive('manifest.json is no list');
  return items.map((item: unknown) => {
    if (!isObject(item)) throw badArchive('an entry of manifest.json is no object');
    const { Config, Layers, RepoTags } = item;
    if (typeof Config !== 'string') throw badArchive('an entry of manifest.json has no Config');
    if (!isTextList(Layers)) throw badArchive(`manifest.json has no Layers for ${Config}`);
    const repoTags = RepoTags ?? [];
    if (!isTextList(repoTags))
      throw badArchive(`manifest.json has no list of RepoTags for ${Config}`);
    return { config: entryName(Config), layers: Layers.map(entryName), repoTags };
  });
}

async function storeImage(
  store: ContentStore,
  spool: Spool,
  item: Item,
  repository: Repository,
  tags: readonly Tag[],
): Promise<StoredImage> {
  const config = await readConfig(spool, item.config);
  const claimed = diffIdsOf(config, item.config);
  if (claimed.length !== item.layers.length) {
    throw badArchive(
      `${item.config} has ${claimed.length} diff IDs, manifest.json ${item.layers.length} layers`,
    );
  }
  // All is checked before anything is stored.
  const files = item.layers.map((name, at) => provedLayer(spool, name, claimed[at] as string));
  const layers: V2Layer[] = [];
  for (const file of files) layers.push(await storeLayer(store, spool, file));
  const views = viewsOf(config, layers);
  await store.blobs.put(config, views.config.descriptor.digest);
  const digests = [views.config.descriptor.digest, ...layers.map(({ digest }) => digest)];
  for (const digest of new Set(digests)) await repository.blobs.link(digest);
  const manifest = parseManifest(views.schema2.bytes, views.schema2.descriptor.mediaType);
  await repository.putManifest(manifest, tags);
  return { digest: manifest.descriptor.digest };
}

/** The config; its name is its digest wherever docker or podman wrote it. */
async function readConfig(spool: Spool, name: string): Promise<Buffer> {
  const bytes = await spool.read(name);
  if (!bytes) throw badArchive(`the config ${name} is missing`);
  const hex = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1];
  const digest = digestOf(bytes);
  if (hex !== undefined && hex !== hexOf(digest)) {
    throw badArchive(`the config ${name} has the digest ${digest}`);
  }
  return bytes;
}

function diffIdsOf(config: Buffer, name: string): readonly string[] {
  try {
    const claimed = claimedDiffIds(RawMap.parse(config));
    if (claimed) return claimed;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw badArchive(`the config ${name}: ${error.message}`, error);
  }
  throw badArchive(`the config ${name} has no rootfs of layers`);
}

function provedLayer(spool: Spool, name: string, diffId: string): SpooledFile {
  const file = spool.find(name);
  if (!file) throw badArchive(`the layer ${name} is missing`);
  const { facts } = file;
  if (isBadLayer(facts)) throw badArchive(`the layer ${name} can't be unpacked: ${facts.bad}`);
  if (facts.diffId !== diffId) {
    throw badArchive(
      `the layer ${name} has the diff ID ${facts.diffId}, its config says ${diffId}`,
    );
  }
  return file;
}

/**
 * Stores a layer once: where a compressed blob of the same content is here already, as after a push, that one stands
 * for it.
 */
async function storeLayer(store: ContentStore, spool: Spool, file: SpooledFile): Promise<V2Layer> {
  const facts = file.facts as LayerFacts;
  const twin = file.size > 0 ? await gzipOf(store, facts.diffId) : undefined;
  if (twin) return v2Layer(twin, { ...facts, encoding: 'gzip' });
  const layer = v2Layer(file, facts);
  if (layer.source === 'blob') {
    await spool.adopt(file, file.digest);
    await store.facts.record(file.digest, facts);
  } else if (layer.source === 'empty-tar') {
    await store.blobs.put(EMPTY_TAR_GZIP, layer.digest);
  } else if ((await store.blobs.size(layer.digest)) === undefined) {
    const path = `${file.path}-tar`;
    const source = decompressed(await spool.open(file), facts.encoding, {
      maxBytes: facts.diffSize,
    });
    const size = await store.driver.append(path, 0, source);
    await store.blobs.adopt(path, layer.digest, size);
    await store.facts.record(layer.digest, { ...facts, encoding: 'none' });
  }
  return layer;
}

async function gzipOf(
  store: ContentStore,
  diffId: Digest,
): Promise<{ digest: Digest; size: number } | undefined> {
  for (const digest of await store.facts.blobsOf(diffId)) {
    const size = await store.blobs.size(digest);
    if (size !== undefined && (await store.facts.known(digest))?.encoding === 'gzip') {
      return { digest, size };
    }
  }
  return undefined;
}
