import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import type { Lifted } from './lifting.ts';
import type { Wait } from './lowering.ts';
import type { Manifest } from './manifest.ts';
import type { RepositoryName, Tag, V1ImageId } from './names.ts';
import { v1List, v1RepositoryRecord, v1RepositoryRoot } from './paths.ts';
import { isOccupied, readRecord, updateRecord } from './records.ts';
import type { Repository } from './repository.ts';
import type { Schema1Forms } from './schema1-forms.ts';
import type { V1Reader } from './v1-images.ts';
import type { TagView, V1ListEntry, V1Repository, V1Viewer } from './v1-store.ts';
import { ANYONE, V1Tags, type V1TagsParts } from './v1-tags.ts';

/** Tags of a list that are looked up at the same time. */
const TAGS_AT_ONCE = 32;

export interface V1RepositoryParts extends V1TagsParts {
  driver: StorageDriver;
  schema1: Schema1Forms | undefined;
  catalogChanged(): Promise<void>;
}

/** One repository as V1 shows it: images that V1 clients pushed, and those that its manifests give. */
export class StoredV1Repository implements V1Repository {
  readonly name: RepositoryName;
  readonly #repository: Repository;
  readonly #tags: V1Tags;
  readonly #parts: V1RepositoryParts;

  constructor(repository: Repository, parts: V1RepositoryParts) {
    this.name = repository.name;
    this.#repository = repository;
    this.#tags = new V1Tags(repository, parts);
    this.#parts = parts;
  }

  async exists(): Promise<boolean> {
    if (await this.#repository.exists()) return true;
    return isOccupied(this.#parts.driver, v1RepositoryRoot(this.name));
  }

  async tags(viewer: V1Viewer = {}): Promise<Map<Tag, V1ImageId>> {
    const names = new Set([...(await this.#repository.tags.all()), ...(await this.#tags.names())]);
    const sorted = [...names].sort();
    // All of them within the time that one request may take.
    const wait = this.#parts.lowering.wait('listed');
    const tags = new Map<Tag, V1ImageId>();
    for (let start = 0; start < sorted.length; start += TAGS_AT_ONCE) {
      const some = sorted.slice(start, start + TAGS_AT_ONCE);
      const views = await Promise.all(some.map((tag) => this.#view(tag, viewer, wait)));
      for (const [index, view] of views.entries()) {
        if (view && 'id' in view) tags.set(some[index] as Tag, view.id);
      }
    }
    return tags;
  }

  async tag(tag: Tag, viewer: V1Viewer = {}): Promise<V1ImageId | undefined> {
    const view = await this.view(tag, viewer);
    return view && 'id' in view ? view.id : undefined;
  }

  view(tag: Tag, viewer: V1Viewer = {}): Promise<TagView | undefined> {
    return this.#view(tag, viewer, this.#parts.lowering.wait());
  }

  hasHiddenTags(): Promise<boolean> {
    return this.#tags.haveHidden();
  }

  forms(tag: Tag): Promise<Lifted | undefined> {
    return this.#tags.forms(tag);
  }

  async writtenOverV1(tag: Tag): Promise<boolean> {
    const current = await this.#repository.tags.resolve(tag);
    return (await this.#tags.imageOf(tag, current)) !== undefined;
  }

  chainOf(tag: Tag) {
    return this.#tags.chainOf(tag);
  }

  async setTag(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void> {
    const listed = (await this.#repository.exists()) || (await this.#tags.haveHidden());
    await this.#tags.set(tag, id, reader);
    const current = await this.#repository.tags.resolve(tag);
    if (await this.#tags.imageOf(tag, current)) {
      await this.announce((await this.#ancestry(id)).map((each) => ({ id: each })));
    }
    if (!listed) await this.#parts.catalogChanged();
  }

  deleteTag(tag: Tag): Promise<boolean> {
    return this.#tags.delete(tag);
  }

  hold(ids: readonly V1ImageId[]): Promise<void> {
    return this.#tags.hold(ids);
  }

  async announce(entries: readonly V1ListEntry[]): Promise<void> {
    const { driver } = this.#parts;
    await updateRecord<V1ListEntry[]>(driver, v1List(this.name), (current) =>
      current ? mergeLists(current, entries) : (mergeLists([], entries) ?? []),
    );
  }

  async images(viewer: V1Viewer = {}): Promise<V1ListEntry[] | undefined> {
    const listed = await readRecord<V1ListEntry[]>(this.#parts.driver, v1List(this.name));
    const found = new Map<V1ImageId, V1ListEntry>();
    for (const entry of listed ?? []) {
      if (!found.has(entry.id)) found.set(entry.id, entry);
    }
    for (const top of (await this.tags(viewer)).values()) {
      for (const id of await this.#ancestry(top)) if (!found.has(id)) found.set(id, { id });
    }
    if (!listed && found.size === 0 && !(await this.exists())) return undefined;
    return [...found.values()];
  }

  async delete(): Promise<boolean> {
    if (!(await this.exists())) return false;
    await this.#tags.release();
    await this.#repository.delete();
    return true;
  }

  readRecord(record: string): Promise<Buffer | undefined> {
    return ifFound(this.#parts.driver.get(v1RepositoryRecord(this.name, record)));
  }

  async writeRecord(
    record: string,
    content: Buffer | string,
    after?: Promise<unknown>,
  ): Promise<void> {
    const options = after === undefined ? {} : { after };
    await this.#parts.driver.put(v1RepositoryRecord(this.name, record), content, options);
  }

  async #view(tag: Tag, viewer: V1Viewer, wait: Wait): Promise<TagView | undefined> {
    const digest = await this.#repository.tags.resolve(tag);
    const id = await this.#tags.imageOf(tag, digest);
    if (id) return { id };
    const manifest = digest && (await this.#repository.manifests.get(digest));
    return manifest && this.#lowered(manifest, viewer, wait);
  }

  /** The V1 ID of a manifest: the image it was made from, or the hex of its config digest once that is proved. */
  async #lowered(manifest: Manifest, viewer: V1Viewer, wait: Wait): Promise<TagView> {
    const image = await this.#liftedSchema1(manifest);
    if ('reason' in image) return image;
    const { lowering } = this.#parts;
    const picked = await lowering.pick(this.#repository, image, viewer.platform);
    const origin = picked?.config && (await this.#origin(picked, viewer.reader ?? ANYONE));
    if (origin) return { id: origin };
    const view = await lowering.view(this.#repository, image, viewer.platform, wait);
    if (!view) return { reason: 'unproved', detail: 'its layers are still being checked' };
    const { chain } = view;
    if ('reason' in chain) return { reason: chain.reason, detail: chain.detail ?? '' };
    const top = chain.links.at(-1);
    return top ? { id: top.id } : { reason: 'bad-config', detail: 'it has no images' };
  }

  /**
   * The pushed image that a manifest was made of, which comes back as it was while all of its chain is stored, for those
   * who may read it (bridge.md 4.8).
   */
  async #origin({ config }: Manifest, reader: V1Reader): Promise<V1ImageId | undefined> {
    const origin = config && (await this.#parts.lifting.origin(config.digest));
    if (!origin) return undefined;
    const chain = await this.#tags.chain(origin, reader);
    if (!chain) return undefined;
    await this.#tags.hold(chain.map((image) => image.id));
    return origin;
  }

  async #liftedSchema1(manifest: Manifest): Promise<Manifest | { reason: string; detail: string }> {
    if (manifest.kind !== 'schema1') return manifest;
    const lifted = await this.#parts.schema1?.lifted(this.#repository, manifest);
    if (!lifted) return { reason: 'schema1', detail: 'schema 1 is switched off' };
    return 'schema2' in lifted ? lifted.schema2 : { reason: 'schema1', detail: lifted.reason };
  }

  async #ancestry(top: V1ImageId): Promise<V1ImageId[]> {
    const image = await this.#parts.view.find(top, ANYONE);
    return image ? [...image.ancestry].reverse() : [];
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
