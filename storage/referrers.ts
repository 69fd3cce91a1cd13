import type { LRUCache } from 'lru-cache';
import { algorithmOf, type Digest, hexOf } from './digest.ts';
import type { Descriptor, Manifest } from './manifest.ts';
import type { Manifests } from './manifests.ts';
import { isTag } from './names.ts';
import type { Tags } from './tags.ts';

/** Which manifests of a repository refer to which, as far as this process has read them. */
export interface ReferrerIndex {
  seen: Set<Digest>;
  bySubject: Map<Digest, Set<Digest>>;
}

export type ReferrerIndexes = LRUCache<string, ReferrerIndex>;

/**
 * Manifests that name another as their subject (OCI distribution-spec "Listing Referrers"). The index follows from
 * the revisions: each is read once for each process, so manifests that another registry or worker stored count too.
 */
export class Referrers {
  readonly #name: string;
  readonly #indexes: ReferrerIndexes;
  readonly #manifests: Manifests;
  readonly #tags: Tags;

  constructor(name: string, indexes: ReferrerIndexes, manifests: Manifests, tags: Tags) {
    this.#name = name;
    this.#indexes = indexes;
    this.#manifests = manifests;
    this.#tags = tags;
  }

  /** Descriptors of all that refer to `subject`, in order of digest; with `artifactType`, only those of it. */
  async list(subject: Digest, artifactType?: string): Promise<Descriptor[]> {
    const found = new Map<Digest, Descriptor>();
    for (const descriptor of await this.#fallback(subject)) {
      if (await this.#manifests.get(descriptor.digest)) found.set(descriptor.digest, descriptor);
    }
    const index = await this.#refresh();
    for (const digest of index.bySubject.get(subject) ?? []) {
      const manifest = await this.#manifests.get(digest);
      if (manifest) found.set(digest, referrerDescriptor(manifest));
    }
    return [...found.values()]
      .filter((descriptor) => !artifactType || descriptor.artifactType === artifactType)
      .sort((a, b) => (a.digest < b.digest ? -1 : 1));
  }

  async #refresh(): Promise<ReferrerIndex> {
    let index = this.#indexes.get(this.#name);
    if (!index) {
      index = { seen: new Set(), bySubject: new Map() };
      this.#indexes.set(this.#name, index);
    }
    for (const digest of await this.#manifests.revisions()) {
      if (index.seen.has(digest)) continue;
      const manifest = await this.#manifests.get(digest);
      if (!manifest) continue;
      index.seen.add(digest);
      if (manifest.subject) addTo(index.bySubject, manifest.subject.digest, digest);
    }
    return index;
  }

  /**
   * Entries of the fallback tag that clients write on registries without this API. It may go on naming what was
   * deleted since: the tag is the client's to keep, not ours.
   */
  async #fallback(subject: Digest): Promise<Descriptor[]> {
    const tag = `${algorithmOf(subject)}-${hexOf(subject).slice(0, 64)}`;
    if (!isTag(tag)) return [];
    const digest = await this.#tags.resolve(tag);
    const manifest = digest && (await this.#manifests.get(digest));
    return manifest?.kind === 'index' ? manifest.manifests : [];
  }
}

function addTo(map: Map<Digest, Set<Digest>>, key: Digest, value: Digest): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function referrerDescriptor(manifest: Manifest): Descriptor {
  const artifactType = manifest.artifactType ?? manifest.config?.mediaType;
  return {
    ...manifest.descriptor,
    ...(artifactType && { artifactType }),
    ...(manifest.annotations && { annotations: manifest.annotations }),
  };
}
