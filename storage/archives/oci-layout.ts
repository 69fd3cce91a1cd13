import { isBadLayer } from '../bridge/layer-facts.ts';
import type { ContentStore } from '../content-store.ts';
import { algorithmOf, type Digest, hexOf } from '../digest.ts';
import { type Descriptor, type Manifest, parseManifest } from '../manifest.ts';
import { DOCKER_CONFIG, OCI_CONFIG } from '../media-types.ts';
import type { Tag } from '../names.ts';
import type { Repository } from '../repository.ts';
import { badArchive, isObject, isTextList } from './archive-json.ts';
import type { Candidate, StoredImage } from './candidate.ts';
import { type ImageName, nameInArchive } from './image-reference.ts';
import type { Spool, SpooledFile } from './spool.ts';

/** Annotations that name an image in `index.json`, the fuller one first. */
const NAME_ANNOTATIONS = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];
const MAX_DEPTH = 8;

/** The images of an OCI layout (image-spec "Image Layout", bridge.md 10.3); undefined when the archive is none. */
export async function layoutImages(
  store: ContentStore,
  spool: Spool,
): Promise<Candidate[] | undefined> {
  const bytes = await spool.read('index.json');
  if (!bytes || !spool.find('oci-layout')) return undefined;
  const named = new Map<Digest, { descriptor: Descriptor; names: ImageName[] }>();
  for (const descriptor of parseManifest(bytes).manifests) {
    const known = named.get(descriptor.digest) ?? { descriptor, names: [] };
    known.names.push(...namesOf(descriptor));
    named.set(descriptor.digest, known);
  }
  const layout = new LayoutImport(store, spool);
  return [...named.values()].map(({ descriptor, names }) => ({
    label: descriptor.digest,
    names,
    store: (repository, tags) => layout.store(descriptor, repository, tags),
  }));
}

function namesOf({ annotations }: Descriptor): ImageName[] {
  const name = NAME_ANNOTATIONS.map((key) => annotations?.[key]).find((each) => each);
  return name === undefined ? [] : [nameInArchive(name)];
}

/** Stores manifests and blobs of a layout as they are, each checked against its digest. */
class LayoutImport {
  readonly #store: ContentStore;
  readonly #spool: Spool;

  constructor(store: ContentStore, spool: Spool) {
    this.#store = store;
    this.#spool = spool;
  }

  async store(top: Descriptor, repository: Repository, tags: readonly Tag[]): Promise<StoredImage> {
    const manifest = await this.#read(top);
    if (!manifest) throw badArchive(`index.json names ${top.digest}, which is missing`);
    await this.#put(manifest, repository, tags, MAX_DEPTH);
    return { digest: manifest.descriptor.digest };
  }

  async #put(
    manifest: Manifest,
    repository: Repository,
    tags: readonly Tag[],
    depth: number,
  ): Promise<void> {
    if (depth === 0) throw badArchive(`indexes are nested more than ${MAX_DEPTH} deep`);
    if (manifest.kind !== 'index') {
      await this.#putBlobs(manifest, repository);
      return repository.putManifest(manifest, tags);
    }
    let stored = 0;
    for (const child of manifest.manifests) {
      const found = await this.#read(child);
      if (found) await this.#put(found, repository, [], depth - 1);
      if (found || (await repository.manifests.get(child.digest))) stored += 1;
    }
    if (stored === manifest.manifests.length) return repository.putManifest(manifest, tags);
    if (stored === 0)
      throw badArchive(`no image of the index ${manifest.descriptor.digest} is here`);
    // docker saves an index whole with the platforms that it has: its digest is worth more than a rule for pushes.
    await repository.manifests.link(manifest);
    for (const tag of tags) await repository.tags.set(tag, manifest.descriptor.digest);
  }

  async #putBlobs(manifest: Manifest, repository: Repository): Promise<void> {
    const { config, layers } = manifest;
    const blobs = config ? [config, ...layers] : layers;
    const found = blobs.map((descriptor) => ({ descriptor, file: this.#find(descriptor) }));
    await this.#prove(manifest);
    for (const { descriptor, file } of found) {
      const { digest } = descriptor;
      // Without a file it may be here already, or lie elsewhere: that is for the manifest's own check.
      if (!file) continue;
      await this.#spool.adopt(file, digest);
      await this.#store.facts.record(digest, file.facts);
      await repository.blobs.link(digest);
    }
  }

  /** Compares what an image's config claims of its layers with what they are, as far as they are in the archive. */
  async #prove({ config, layers }: Manifest): Promise<void> {
    if (!config || (config.mediaType !== DOCKER_CONFIG && config.mediaType !== OCI_CONFIG)) return;
    const file = this.#find(config);
    const claimed = file && diffIdsOf(await this.#spool.read(file.name));
    if (!claimed) return;
    if (claimed.length !== layers.length) {
      throw badArchive(
        `${config.digest} has ${claimed.length} diff IDs for ${layers.length} layers`,
      );
    }
    for (const [at, layer] of layers.entries()) {
      const facts = this.#find(layer)?.facts;
      if (!facts) continue;
      if (isBadLayer(facts)) throw badArchive(`the layer ${layer.digest}: ${facts.bad}`);
      if (facts.diffId !== claimed[at]) {
        throw badArchive(
          `${layer.digest} has the diff ID ${facts.diffId}, its config says ${claimed[at]}`,
        );
      }
    }
  }

  /** The blob's file, of the right size and digest; undefined when the archive lacks it. */
  #find(descriptor: Descriptor): SpooledFile | undefined {
    const { digest, size } = descriptor;
    const file = this.#spool.find(`blobs/${algorithmOf(digest)}/${hexOf(digest)}`);
    if (!file) return undefined;
    const actual = algorithmOf(digest) === 'sha512' ? file.sha512 : file.digest;
    if (actual !== digest) throw badArchive(`${file.name} has the digest ${actual}`);
    if (file.size !== size) {
      throw badArchive(`${digest} has ${file.size} bytes, its descriptor says ${size}`);
    }
    return file;
  }

  async #read(descriptor: Descriptor): Promise<Manifest | undefined> {
    const file = this.#find(descriptor);
    const bytes = file && (await this.#spool.read(file.name));
    return bytes && parseManifest(bytes, undefined, algorithmOf(descriptor.digest));
  }
}

/** The diff IDs of a config that has any; some artifacts use the type of an image's config for something else. */
function diffIdsOf(config: Buffer | undefined): string[] | undefined {
  try {
    const json = JSON.parse(config?.toString() ?? '') as unknown;
    const rootfs = isObject(json) ? json.rootfs : undefined;
    const claimed = isObject(rootfs) ? rootfs.diff_ids : undefined;
    return isTextList(claimed) ? claimed : undefined;
  } catch {
    return undefined;
  }
}
