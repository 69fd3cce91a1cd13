import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound, storageError } from './errors.ts';
import type { ExplicitImages } from './explicit-images.ts';
import type { ChainImage, Lifting } from './lifting.ts';
import { gather } from './listings.ts';
import type { Lowering } from './lowering.ts';
import type { Manifest, Platform } from './manifest.ts';
import { isTag, type RepositoryName, type Tag, type V1ImageId } from './names.ts';
import {
  tagLink,
  v1Holder,
  v1List,
  v1Members,
  v1RepositoryRecord,
  v1RepositoryRoot,
  v1TagMemo,
  v1TagsRoot,
} from './paths.ts';
import { isOccupied, readRecord, updateRecord } from './records.ts';
import type { Repository } from './repository.ts';
import type { Schema1Forms } from './schema1-forms.ts';
import type { V1Reader } from './v1-images.ts';
import type { V1ListEntry, V1Repository } from './v1-store.ts';
import type { V1View } from './v1-view.ts';

/**
 * What a V1 client wrote into a tag. Believed only while the tag's link still names this manifest (or, for an image
 * without a V2 form, while there is no link): a later V2 push outdates it.
 */
interface TagMemo {
  imageId: V1ImageId;
  manifest?: Digest;
}

/** For looks that decide nothing about access. */
const ANYONE: V1Reader = { unrestricted: true, mayPull: () => true, claimant: '' };

export interface V1RepositoryParts {
  driver: StorageDriver;
  explicit: ExplicitImages;
  view: V1View;
  lifting: Lifting;
  lowering: Lowering;
  schema1: Schema1Forms | undefined;
  catalogChanged(): Promise<void>;
  onNotLifted(repository: string, imageId: V1ImageId, reason: string): void;
}

/** One repository as V1 shows it: images that V1 clients pushed, and those that its manifests give. */
export class StoredV1Repository implements V1Repository {
  readonly name: RepositoryName;
  readonly #repository: Repository;
  readonly #parts: V1RepositoryParts;

  constructor(repository: Repository, parts: V1RepositoryParts) {
    this.name = repository.name;
    this.#repository = repository;
    this.#parts = parts;
  }

  async exists(): Promise<boolean> {
    if (await this.#repository.exists()) return true;
    return isOccupied(this.#parts.driver, v1RepositoryRoot(this.name));
  }

  async tags(platform?: Platform): Promise<Map<Tag, V1ImageId>> {
    const names = new Set([...(await this.#repository.tags.all()), ...(await this.#memoTags())]);
    const tags = new Map<Tag, V1ImageId>();
    for (const tag of [...names].sort()) {
      const id = await this.tag(tag, platform);
      if (id) tags.set(tag, id);
    }
    return tags;
  }

  async tag(tag: Tag, platform?: Platform): Promise<V1ImageId | undefined> {
    const digest = await this.#repository.tags.resolve(tag);
    const memo = await readRecord<TagMemo>(this.#parts.driver, v1TagMemo(this.name, tag));
    if (memo && memo.manifest === digest) return memo.imageId;
    const manifest = digest && (await this.#repository.manifests.get(digest));
    return manifest && this.#topOf(manifest, platform);
  }

  async chainOf(tag: Tag): Promise<ChainImage[] | undefined> {
    const digest = await this.#repository.tags.resolve(tag);
    const memo = await readRecord<TagMemo>(this.#parts.driver, v1TagMemo(this.name, tag));
    const manifest = digest && (await this.#repository.manifests.get(digest));
    const id =
      memo && memo.manifest === digest
        ? memo.imageId
        : manifest?.config && (await this.#parts.lifting.origin(manifest.config.digest));
    if (!id || !(await this.#parts.explicit.get(id))) return undefined;
    return this.#parts.view.chain(id, ANYONE);
  }

  async setTag(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void> {
    const existed = await this.exists();
    const image = await this.#parts.view.find(id, reader);
    if (!image) throw storageError('IMAGE_UNKNOWN', 'Image not found', { detail: id });
    if (image.origin === 'virtual') await this.#tagVirtual(tag, id, reader);
    else await this.#tagExplicit(tag, image.ancestry, reader);
    if (!existed) await this.#parts.catalogChanged();
  }

  async deleteTag(tag: Tag): Promise<boolean> {
    const existed = (await this.tag(tag)) !== undefined;
    await this.#parts.driver.delete(v1RepositoryRecord(this.name, `tag-info/${tag}`));
    return (await this.#repository.tags.delete(tag)) || existed;
  }

  async announce(entries: readonly V1ListEntry[]): Promise<void> {
    const { driver } = this.#parts;
    const existed = await this.exists();
    await updateRecord<V1ListEntry[]>(driver, v1List(this.name), (current) =>
      current ? mergeLists(current, entries) : (mergeLists([], entries) ?? []),
    );
    if (!existed) await this.#parts.catalogChanged();
  }

  async images(platform?: Platform): Promise<V1ListEntry[] | undefined> {
    const listed = await readRecord<V1ListEntry[]>(this.#parts.driver, v1List(this.name));
    const found = new Map<V1ImageId, V1ListEntry>();
    for (const entry of listed ?? []) {
      if (!found.has(entry.id)) found.set(entry.id, entry);
    }
    for (const top of (await this.tags(platform)).values()) {
      for (const id of await this.#ancestry(top)) if (!found.has(id)) found.set(id, { id });
    }
    if (!listed && found.size === 0 && !(await this.exists())) return undefined;
    return [...found.values()];
  }

  async delete(): Promise<boolean> {
    if (!(await this.exists())) return false;
    await this.#repository.delete();
    return true;
  }

  readRecord(record: string): Promise<Buffer | undefined> {
    return ifFound(this.#parts.driver.get(v1RepositoryRecord(this.name, record)));
  }

  async writeRecord(record: string, content: Buffer | string): Promise<void> {
    await this.#parts.driver.put(v1RepositoryRecord(this.name, record), content);
  }

  /** The V1 ID of a manifest: the image it was made from, or the hex of its config digest once that is proved. */
  async #topOf(manifest: Manifest, platform: Platform | undefined): Promise<V1ImageId | undefined> {
    const { lifting, lowering, explicit } = this.#parts;
    const picked =
      manifest.kind === 'schema1'
        ? await this.#liftedSchema1(manifest)
        : await lowering.pick(this.#repository, manifest, platform);
    if (!picked?.config) return undefined;
    const origin = await lifting.origin(picked.config.digest);
    const made = origin && (await explicit.get(origin));
    if (made) {
      await this.#hold(made.ancestry);
      return origin;
    }
    const chain = await lowering.chain(this.#repository, picked);
    if (!chain || 'reason' in chain) return undefined;
    return chain.links.at(-1)?.id;
  }

  async #liftedSchema1(manifest: Manifest): Promise<Manifest | undefined> {
    const lifted = await this.#parts.schema1?.lifted(this.#repository, manifest);
    return lifted && 'schema2' in lifted ? lifted.schema2 : undefined;
  }

  async #ancestry(top: V1ImageId): Promise<V1ImageId[]> {
    const image = await this.#parts.view.find(top, ANYONE);
    return image ? [...image.ancestry].reverse() : [];
  }

  /** An engine tags what it pulled from us: the tag names the manifest that gave the image, not a copy of it. */
  async #tagVirtual(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void> {
    const given = await this.#parts.view.manifestOf(id, reader, this.name);
    if (!given) {
      await this.#tagChain(tag, id, reader);
      return;
    }
    const { manifest, from } = given;
    if (from !== this.name) {
      const blobs = manifest.config ? [manifest.config, ...manifest.layers] : manifest.layers;
      for (const { digest } of blobs) await this.#repository.blobs.link(digest);
      await this.#repository.manifests.link(manifest);
    }
    await this.#repository.tags.set(tag, manifest.descriptor.digest);
    await this.#parts.lowering.chain(this.#repository, manifest);
  }

  async #tagExplicit(tag: Tag, ancestry: readonly V1ImageId[], reader: V1Reader): Promise<void> {
    await this.#tagChain(tag, ancestry[0] as V1ImageId, reader);
  }

  async #tagChain(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void> {
    const { lifting, driver } = this.#parts;
    const chain = await this.#parts.view.chain(id, reader);
    const lifted = await lifting.lift(this.#repository, chain);
    const ids = chain.map((image) => image.id);
    await this.#hold(ids);
    await this.announce(ids.map((each) => ({ id: each })));
    const path = v1TagMemo(this.name, tag);
    if ('reason' in lifted) {
      this.#parts.onNotLifted(this.name, id, lifted.reason);
      const memo: TagMemo = { imageId: id };
      await driver.put(path, JSON.stringify(memo));
      await driver.delete(tagLink(this.name, tag));
      return;
    }
    const memo: TagMemo = { imageId: id, manifest: lifted.schema2.descriptor.digest };
    await driver.put(path, JSON.stringify(memo));
    await this.#repository.tags.set(tag, lifted.schema2.descriptor.digest);
  }

  /** Notes that these images may be read through this repository. */
  async #hold(ids: readonly V1ImageId[]): Promise<void> {
    const { driver } = this.#parts;
    const held = new Set(await readRecord<V1ImageId[]>(driver, v1Members(this.name)));
    const fresh = ids.filter((id) => !held.has(id));
    if (fresh.length === 0) return;
    await updateRecord<V1ImageId[]>(driver, v1Members(this.name), (current = []) => [
      ...new Set([...current, ...fresh]),
    ]);
    for (const id of fresh) await driver.put(v1Holder(id, this.name), '', { durable: false });
  }

  async #memoTags(): Promise<Tag[]> {
    const names = await gather(this.#parts.driver.list(v1TagsRoot(this.name)));
    return names.filter(isTag);
  }
}

/** New entries first; the first checksum of an id wins (v1.md 1.8). Undefined when nothing changes. */
function mergeLists(
  current: readonly V1ListEntry[],
  added: readonly V1ListEntry[],
): V1ListEntry[] | undefined {
  const merged = new Map<V1ImageId, V1ListEntry>();
  for (const { id, checksum } of [...added, ...current]) {
    const known = merged.get(id)?.checksum ?? checksum;
    merged.set(id, { id, ...(known !== undefined && { checksum: known }) });
  }
  const unchanged =
    merged.size === current.length &&
    current.every(({ id, checksum }) => merged.get(id)?.checksum === checksum);
  return unchanged ? undefined : [...merged.values()];
}
