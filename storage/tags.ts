import type { Digest } from './digest.ts';
import type { PutItem, StorageDriver } from './driver.ts';
import { ConditionFailedError, storageError } from './errors.ts';
import type { Links, MaybePromise } from './links.ts';
import { tagsAfter } from './listed-tags.ts';
import type { Listings } from './listings.ts';
import type { RepositoryName, Tag } from './names.ts';
import { tagDirectory, tagHistoryLink, tagLink, tagsRoot, v1TagMemo } from './paths.ts';

export interface Page<T> {
  items: T[];
  /** Whether more follow. */
  more: boolean;
}

/** The tags of one repository. `current/link` is the one truth of a tag, for both protocols. */
export class Tags {
  readonly #name: RepositoryName;
  readonly #driver: StorageDriver;
  readonly #links: Links;
  readonly #listings: Listings;

  constructor(name: RepositoryName, driver: StorageDriver, links: Links, listings: Listings) {
    this.#name = name;
    this.#driver = driver;
    this.#links = links;
    this.#listings = listings;
  }

  /** The manifest digest that the tag names. */
  resolve(tag: Tag): MaybePromise<Digest | undefined> {
    return this.#links.read(tagLink(this.#name, tag));
  }

  /** Points the tag at a manifest that is linked here. Its history keeps every digest it ever named. */
  async set(tag: Tag, digest: Digest): Promise<void> {
    if ((await this.resolve(tag)) === digest) return;
    await this.#links.writeAll(this.history([tag], digest), this.current([tag], digest));
  }

  /** Those of the tags that do not name this manifest. */
  async notNaming(tags: readonly Tag[], digest: Digest): Promise<Tag[]> {
    const found: Tag[] = [];
    for (const tag of tags) if ((await this.resolve(tag)) !== digest) found.push(tag);
    return found;
  }

  /** What the tags' history takes before they are moved. */
  history(tags: readonly Tag[], digest: Digest): PutItem[] {
    return tags.map((tag) => ({
      path: tagHistoryLink(this.#name, tag, digest),
      content: digest,
      alike: true,
    }));
  }

  /** What moves the tags, once their history is written and the manifest linked here. */
  current(tags: readonly Tag[], digest: Digest): PutItem[] {
    return tags.map((tag) => ({ path: tagLink(this.#name, tag), content: digest }));
  }

  /**
   * As `set`, but only while the tag still names `expected` (undefined: while there is no such tag). Of several
   * racing callers one wins. Throws PRECONDITION_FAILED.
   */
  async swap(tag: Tag, digest: Digest, expected: Digest | undefined): Promise<void> {
    await this.#links.write(tagHistoryLink(this.#name, tag, digest), digest);
    const condition = expected === undefined ? 'absent' : { unchanged: Buffer.from(expected) };
    try {
      await this.#driver.put(tagLink(this.#name, tag), digest, { condition });
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
      throw storageError('PRECONDITION_FAILED', `another request has just moved the tag ${tag}`, {
        detail: await this.resolve(tag),
      });
    }
  }

  /** Removes the tag, not what it names. Gives whether there was one. */
  async delete(tag: Tag): Promise<boolean> {
    const existed = (await this.resolve(tag)) !== undefined;
    await this.#driver.delete(tagDirectory(this.#name, tag));
    // Without a link the note may be of a tag that V1 clients alone can see; it is theirs to remove.
    if (existed) await this.#driver.delete(v1TagMemo(this.#name, tag));
    return existed;
  }

  /** Tags in byte order after `last`, at most `count`. */
  async page(last: string | undefined, count: number): Promise<Page<Tag>> {
    const listing = this.#listings.children(tagsRoot(this.#name));
    const names = listing instanceof Promise ? await listing : listing;
    return tagsAfter(names, last, count, (tag) => this.resolve(tag));
  }

  async all(): Promise<Tag[]> {
    return (await this.page(undefined, Number.POSITIVE_INFINITY)).items;
  }

  /** The tags that name this manifest now. */
  async naming(digest: Digest): Promise<Tag[]> {
    const found: Tag[] = [];
    for (const tag of await this.all()) {
      if ((await this.resolve(tag)) === digest) found.push(tag);
    }
    return found;
  }
}
