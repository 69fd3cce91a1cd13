import type { Digest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { RegistryError, storageError } from './errors.ts';
import type { ChainImage, Lifted, Lifting } from './lifting.ts';
import type { Listings } from './listings.ts';
import type { Lowering } from './lowering.ts';
import { isTag, type RepositoryName, type Tag, type V1ImageId } from './names.ts';
import {
  tagDirectory,
  v1Holder,
  v1Members,
  v1RepositoryRecord,
  v1TagMemo,
  v1TagsRoot,
} from './paths.ts';
import { putAll } from './put-all.ts';
import { putIfAbsent, readRecord, updateRecord } from './records.ts';
import type { Repository } from './repository.ts';
import type { V1Reader } from './v1-images.ts';
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
export const ANYONE: V1Reader = { unrestricted: true, mayPull: () => true, claimant: '' };

export interface V1TagsParts {
  driver: StorageDriver;
  listings: Listings;
  view: V1View;
  lifting: Lifting;
  lowering: Lowering;
  onNotLifted(repository: string, imageId: V1ImageId, reason: string): void;
}

/** The tags of one repository that V1 clients wrote (bridge.md 4.1, 7.1). */
export class V1Tags {
  readonly #name: RepositoryName;
  readonly #repository: Repository;
  readonly #parts: V1TagsParts;

  constructor(repository: Repository, parts: V1TagsParts) {
    this.#name = repository.name;
    this.#repository = repository;
    this.#parts = parts;
  }

  /** Tags that V1 clients wrote at any time, whoever wrote them last. */
  async names(): Promise<Tag[]> {
    return (await this.#parts.listings.children(v1TagsRoot(this.#name))).filter(isTag);
  }

  /** The image that a V1 client tagged, if nobody moved the tag since; `current` is what the tag links to. */
  async imageOf(tag: Tag, current: Digest | undefined): Promise<V1ImageId | undefined> {
    const path = v1TagMemo(this.#name, tag);
    const memo = await readRecord<TagMemo>(this.#parts.driver, path);
    return memo && memo.manifest === current ? memo.imageId : undefined;
  }

  /** Whether any tag here is seen over V1 only. */
  async haveHidden(): Promise<boolean> {
    for (const tag of await this.names()) {
      const current = await this.#repository.tags.resolve(tag);
      if (current === undefined && (await this.imageOf(tag, undefined))) return true;
    }
    return false;
  }

  /**
   * Points a tag at an image: at the manifest that gives it where it follows from one, else at the manifest that is made
   * of its chain. Throws IMAGE_UNKNOWN while the image or one below it is missing or unfinished.
   */
  async set(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void> {
    if (!(await this.#parts.view.find(id, reader))) {
      throw storageError('IMAGE_UNKNOWN', 'Image not found', { detail: id });
    }
    if (await this.#setVirtual(tag, id, reader)) return;
    const chain = await this.#parts.view.chain(id, reader);
    const held = chain.map((image) => image.id);
    const [lifted] = await Promise.all([this.#lift(chain), this.hold(held)]);
    if ('reason' in lifted) await this.#setHidden(tag, id, lifted.reason);
    else await this.#setLifted(tag, id, lifted.schema2.descriptor.digest);
  }

  /** Removes a tag, also one that is seen over V1 only. Gives whether there was one. */
  async delete(tag: Tag): Promise<boolean> {
    const current = await this.#repository.tags.resolve(tag);
    const hidden = current === undefined && (await this.imageOf(tag, undefined)) !== undefined;
    const existed = await this.#repository.tags.delete(tag);
    await this.#parts.driver.delete(v1TagMemo(this.#name, tag));
    await this.#parts.driver.delete(v1RepositoryRecord(this.#name, `tag-info/${tag}`));
    return existed || hidden;
  }

  /**
   * The forms of a tag that a V1 client wrote, made again if they were lost; undefined for any other tag. One that had
   * no V2 form gets it as soon as it can be made (bridge.md 4.1).
   */
  async forms(tag: Tag): Promise<Lifted | undefined> {
    const current = await this.#repository.tags.resolve(tag);
    const id = await this.imageOf(tag, current);
    if (!id) return undefined;
    const chain = await this.#parts.view.chain(id, ANYONE);
    const lifted = await this.#parts.lifting.lift(this.#repository, chain, current);
    if (current === undefined && 'schema2' in lifted) {
      await this.#setLifted(tag, id, lifted.schema2.descriptor.digest);
    }
    return lifted;
  }

  /** The chain, base first, of a tag that V1 clients wrote, or that names what was made of a chain. */
  async chainOf(tag: Tag): Promise<ChainImage[] | undefined> {
    const current = await this.#repository.tags.resolve(tag);
    const manifest = current && (await this.#repository.manifests.get(current));
    const id =
      (await this.imageOf(tag, current)) ??
      (manifest?.config && (await this.#parts.lifting.origin(manifest.config.digest)));
    return id && this.chain(id, ANYONE);
  }

  /** The chain of a pushed image, base first; undefined when one of it is not stored or may not be read. */
  async chain(id: V1ImageId, reader: V1Reader): Promise<ChainImage[] | undefined> {
    const { view } = this.#parts;
    const image = await view.find(id, reader);
    return image?.origin === 'explicit' ? view.findChain(id, reader) : undefined;
  }

  /** Notes that these images may be read through this repository. */
  async hold(ids: readonly V1ImageId[]): Promise<void> {
    const { driver } = this.#parts;
    const held = new Set(await readRecord<V1ImageId[]>(driver, v1Members(this.#name)));
    const fresh = ids.filter((id) => !held.has(id));
    if (fresh.length === 0) return;
    await updateRecord<V1ImageId[]>(driver, v1Members(this.#name), (current = []) => [
      ...new Set([...current, ...fresh]),
    ]);
    const options = { durable: false, shared: true };
    for (const id of fresh) await putIfAbsent(driver, v1Holder(id, this.#name), '', options);
  }

  /** Takes back what `hold` noted, when the repository goes. */
  async release(): Promise<void> {
    const { driver } = this.#parts;
    const held = (await readRecord<V1ImageId[]>(driver, v1Members(this.#name))) ?? [];
    for (const id of held) await driver.delete(v1Holder(id, this.#name), { durable: false });
  }

  /** What breaks on our side must not fail a push: the next V2 pull of the tag tries again (bridge.md 4.1). */
  async #lift(chain: readonly ChainImage[]): Promise<Lifted> {
    try {
      return await this.#parts.lifting.lift(this.#repository, chain);
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      return { reason: `failed: ${String(error)}` };
    }
  }

  /** An engine tags what it pulled from us: the tag names the manifest that gave the image, not a copy of it. */
  async #setVirtual(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<boolean> {
    const given = await this.#parts.view.manifestOf(id, reader, this.#name);
    if (!given) return false;
    const { manifest, from } = given;
    if (from !== this.#name) {
      const blobs = manifest.config ? [manifest.config, ...manifest.layers] : manifest.layers;
      for (const { digest } of blobs) await this.#repository.blobs.link(digest);
      await this.#repository.manifests.link(manifest);
    }
    await this.#repository.tags.set(tag, manifest.descriptor.digest);
    await this.#parts.lowering.chain(this.#repository, manifest);
    return true;
  }

  async #setLifted(tag: Tag, imageId: V1ImageId, manifest: Digest): Promise<void> {
    const memo: TagMemo = { imageId, manifest };
    const item = { path: v1TagMemo(this.#name, tag), content: JSON.stringify(memo) };
    const { tags } = this.#repository;
    const moving = await tags.notNaming([tag], manifest);
    const first = [item, ...tags.history(moving, manifest)];
    await putAll(this.#parts.driver, first, tags.current(moving, manifest));
  }

  async #setHidden(tag: Tag, imageId: V1ImageId, reason: string): Promise<void> {
    const { driver, onNotLifted } = this.#parts;
    onNotLifted(this.#name, imageId, reason);
    const memo: TagMemo = { imageId };
    await driver.put(v1TagMemo(this.#name, tag), JSON.stringify(memo));
    await driver.delete(tagDirectory(this.#name, tag));
  }
}
