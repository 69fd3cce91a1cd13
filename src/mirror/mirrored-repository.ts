import type { ChainImage, Lifted } from '../../storage/lifting.ts';
import type { RepositoryName, Tag, V1ImageId } from '../../storage/names.ts';
import type { V1Reader } from '../../storage/v1-images.ts';
import type { TagView, V1ListEntry, V1Repository, V1Viewer } from '../../storage/v1-store.ts';
import type { Claims } from './claims.ts';
import type { MirroredImages } from './mirrored-images.ts';
import type { MirroredTags } from './mirrored-tags.ts';
import { isUnavailable } from './upstream-client.ts';
import type { UpstreamRepositories, UpstreamRepository } from './upstream-repositories.ts';

export interface MirroredRepositoryParts {
  upstream: UpstreamRepositories;
  images: MirroredImages;
  claims: Claims;
  tags: MirroredTags;
}

/** A repository with the tags and images that upstream has of it. What was written here wins, and stays here. */
export class MirroredRepository implements V1Repository {
  readonly name: RepositoryName;
  readonly #own: V1Repository;
  readonly #parts: MirroredRepositoryParts;

  constructor(own: V1Repository, parts: MirroredRepositoryParts) {
    this.name = own.name;
    this.#own = own;
    this.#parts = parts;
  }

  async exists(): Promise<boolean> {
    return (await this.#hasOwn()) || (await this.#upstream()) !== undefined;
  }

  async tags(viewer: V1Viewer = {}): Promise<Map<Tag, V1ImageId>> {
    const own = await this.#own.tags(viewer);
    const upstream = await this.#upstream(viewer);
    if (!upstream) return own;
    for (const [tag, id] of own) {
      if (upstream.tags[tag] !== id && (await this.#isBrought(tag))) own.delete(tag);
    }
    const elsewhere = Object.entries(upstream.tags) as [Tag, V1ImageId][];
    return new Map([...elsewhere, ...own].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async tag(tag: Tag, viewer: V1Viewer = {}): Promise<V1ImageId | undefined> {
    const view = await this.view(tag, viewer);
    return view && 'id' in view ? view.id : undefined;
  }

  async view(tag: Tag, viewer: V1Viewer = {}): Promise<TagView | undefined> {
    if ((await this.#parts.tags.stateOf(this.name, tag)) === 'own') {
      return this.#own.view(tag, viewer);
    }
    const upstream = await this.#upstream(viewer);
    const id = upstream?.tags[tag];
    if (id !== undefined) return { id };
    return upstream ? undefined : this.#own.view(tag, viewer);
  }

  /** A tag on an image that only upstream has brings that image here. */
  async setTag(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void> {
    await this.#parts.images.bring(id, reader);
    await this.#own.setTag(tag, id, reader);
    await this.#parts.tags.disown(this.name, tag);
  }

  async images(viewer: V1Viewer = {}): Promise<V1ListEntry[] | undefined> {
    const own = await this.#own.images(viewer);
    const upstream = await this.#upstream(viewer);
    if (!upstream) return own;
    const all = new Map([...upstream.images, ...(own ?? [])].map((entry) => [entry.id, entry]));
    for (const id of Object.values(upstream.tags)) if (!all.has(id)) all.set(id, { id });
    return [...all.values()];
  }

  hasHiddenTags(): Promise<boolean> {
    return this.#own.hasHiddenTags();
  }

  writtenOverV1(tag: Tag): Promise<boolean> {
    return this.#own.writtenOverV1(tag);
  }

  forms(tag: Tag): Promise<Lifted | undefined> {
    return this.#own.forms(tag);
  }

  chainOf(tag: Tag): Promise<ChainImage[] | undefined> {
    return this.#own.chainOf(tag);
  }

  deleteTag(tag: Tag): Promise<boolean> {
    return this.#own.deleteTag(tag);
  }

  announce(entries: readonly V1ListEntry[]): Promise<void> {
    return this.#own.announce(entries);
  }

  delete(): Promise<boolean> {
    return this.#own.delete();
  }

  hold(ids: readonly V1ImageId[]): Promise<void> {
    return this.#own.hold(ids);
  }

  readRecord(record: string): Promise<Buffer | undefined> {
    return this.#own.readRecord(record);
  }

  writeRecord(record: string, content: Buffer | string, after?: Promise<unknown>): Promise<void> {
    return this.#own.writeRecord(record, content, after);
  }

  async #isBrought(tag: Tag): Promise<boolean> {
    return (await this.#parts.tags.stateOf(this.name, tag)) === 'brought';
  }

  /** Upstream's part; where it is down, a repository that is stored here goes on without it. */
  async #upstream(viewer: V1Viewer = {}): Promise<UpstreamRepository | undefined> {
    const { upstream, claims } = this.#parts;
    try {
      const found = await upstream.get(this.name);
      if (found && viewer.reader && !viewer.reader.unrestricted) {
        const tops = Object.values(found.tags);
        await claims.add(this.name, [...found.images.map(({ id }) => id), ...tops]);
      }
      return found;
    } catch (error) {
      if (isUnavailable(error) && (await this.#hasOwn())) return undefined;
      throw error;
    }
  }

  /** Whether anything was tagged here: images that were merely mirrored make no repository. */
  async #hasOwn(): Promise<boolean> {
    return (await this.#own.tags()).size > 0 || (await this.#own.hasHiddenTags());
  }
}
