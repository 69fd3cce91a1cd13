import type { ContentStore } from '../../storage/content-store.ts';
import type { Digest } from '../../storage/digest.ts';
import type { RepositoryName, Tag, V1ImageId } from '../../storage/names.ts';
import type { V1Reader } from '../../storage/v1-images.ts';
import { ANYONE } from '../../storage/v1-tags.ts';
import type { Claims } from './claims.ts';
import type { MirroredImages } from './mirrored-images.ts';
import { isUnavailable } from './upstream-client.ts';
import type { UpstreamRepositories, UpstreamRepository } from './upstream-repositories.ts';

export interface MirroredTagsParts {
  content: ContentStore;
  upstream: UpstreamRepositories;
  images: MirroredImages;
  claims: Claims;
}

/** What a tag named when it was brought here: while it names that still, upstream may move it. */
interface Brought {
  imageId: V1ImageId;
  /** Absent where the image has no V2 form. */
  manifest?: Digest;
}

/** Upstream's tags as V2 clients need them: written here, with the image whole, and moved when upstream moves them. */
export class MirroredTags {
  readonly #parts: MirroredTagsParts;
  readonly #running = new Map<string, Promise<void>>();

  constructor(parts: MirroredTagsParts) {
    this.#parts = parts;
  }

  /** Whether the tag was written here by a client, was brought here from upstream, or is not here. */
  async stateOf(name: RepositoryName, tag: Tag): Promise<'own' | 'brought' | 'none'> {
    const { tags, v1 } = this.#parts.content.repository(name);
    const current = await tags.resolve(tag);
    const hidden = current === undefined ? await v1.tag(tag) : undefined;
    if (current === undefined && hidden === undefined) return 'none';
    const brought = await this.#brought(name, tag);
    if (!brought || brought.manifest !== current) return 'own';
    return hidden === undefined || hidden === brought.imageId ? 'brought' : 'own';
  }

  /** A client writes the tag: from now on it is not upstream's. */
  async disown(name: RepositoryName, tag: Tag): Promise<void> {
    if (!(await this.#brought(name, tag))) return;
    await this.#parts.content.repository(name).v1.writeRecord(recordOf(tag), '{}');
  }

  /**
   * Sees to it that a tag names here what it names upstream, unless it was written here. Concurrent callers share the
   * work. Throws UNAVAILABLE when upstream is needed and does not answer.
   */
  provide(name: RepositoryName, tag: Tag, restricted: boolean): Promise<void> {
    const key = `${name}:${tag}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const work = this.#provide(name, tag, restricted).finally(() => this.#running.delete(key));
    this.#running.set(key, work);
    return work;
  }

  /** Upstream's tags; none while it is down. */
  async namesOf(name: RepositoryName): Promise<Tag[]> {
    const found = await this.#upstream(name, false);
    return found ? (Object.keys(found.tags) as Tag[]) : [];
  }

  async #provide(name: RepositoryName, tag: Tag, restricted: boolean): Promise<void> {
    const state = await this.stateOf(name, tag);
    if (state === 'own') return;
    const upstream = await this.#upstream(name, state === 'none');
    const id = upstream?.tags[tag];
    const { v1, tags } = this.#parts.content.repository(name);
    if (id === undefined) {
      if (upstream && state === 'brought') await v1.deleteTag(tag);
      return;
    }
    if (state === 'brought' && (await this.#brought(name, tag))?.imageId === id) return;
    const reader = restricted ? readerOf(name) : ANYONE;
    if (restricted) await this.#parts.claims.add(name, [id]);
    try {
      await this.#parts.images.bring(id, reader);
    } catch (error) {
      // What was brought before serves on.
      if (state === 'none' || !isUnavailable(error)) throw error;
      return;
    }
    await v1.setTag(tag, id, reader);
    const manifest = await tags.resolve(tag);
    const brought: Brought = { imageId: id, ...(manifest && { manifest }) };
    await v1.writeRecord(recordOf(tag), JSON.stringify(brought));
  }

  async #upstream(name: RepositoryName, needed: boolean): Promise<UpstreamRepository | undefined> {
    try {
      return await this.#parts.upstream.get(name);
    } catch (error) {
      if (needed || !isUnavailable(error)) throw error;
      return undefined;
    }
  }

  async #brought(name: RepositoryName, tag: Tag): Promise<Brought | undefined> {
    const bytes = await this.#parts.content.repository(name).v1.readRecord(recordOf(tag));
    const record = bytes && (JSON.parse(bytes.toString()) as Partial<Brought>);
    return record?.imageId === undefined ? undefined : (record as Brought);
  }
}

function recordOf(tag: Tag): string {
  return `mirrored/${tag}`;
}

function readerOf(name: RepositoryName): V1Reader {
  return { unrestricted: false, mayPull: (each) => each === name, only: name, claimant: '' };
}
