import { dirname } from 'node:path/posix';
import { type Digest, isDigest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import type { GarbageRoot } from './garbage-collection.ts';
import type { MarkOptions, Marks } from './garbage-marks.ts';
import { isImageId, type V1ImageId } from './names.ts';
import {
  blobCompressed,
  blobFacts,
  bridgeRecord,
  diffBlob,
  v1AllReadersRoot,
  v1ImageRecord,
  v1ImagesRoot,
  v1Kept,
  v1ReadersRoot,
  v1Staged,
  v1StagingFile,
  v1StagingRoot,
} from './paths.ts';
import { removeV1Image, unlistV1Images } from './v1-image-removal.ts';
import { namedV1Images } from './v1-references.ts';

export interface V1GarbageOptions {
  /**
   * Also gives up complete images that no tag, no manifest made of them and no image above them keeps. docker-registry
   * never did (v1.md B18), so they stay unless this is set.
   */
  untagged?: boolean;
}

/** What is stored under one ID: an image that was pushed, a virtual one that was kept for its children, or both. */
interface Found {
  /** The blob of the pushed image's layer. */
  pushed: Digest | undefined;
  /** The blob of the kept image's layer. */
  kept: Digest | undefined;
  parents: V1ImageId[];
  /** When it was completed, in milliseconds since the epoch. */
  modified: number;
}

/**
 * The images that V1 clients pushed keep their layers, and so do the virtual images below them (bridge.md 8.3). What was
 * noted of a blob goes with it.
 */
export class V1GarbageRoot implements GarbageRoot {
  readonly #driver: StorageDriver;
  readonly #untagged: boolean;
  readonly #found = new Map<V1ImageId, Found>();
  readonly #live = new Set<V1ImageId>();
  readonly #dead: V1ImageId[] = [];
  /** Kept for children that are gone. */
  readonly #childless: V1ImageId[] = [];

  constructor(driver: StorageDriver, { untagged = false }: V1GarbageOptions = {}) {
    this.#driver = driver;
    this.#untagged = untagged;
  }

  /** Pushed images that are given up, once all is marked. */
  get dead(): readonly V1ImageId[] {
    return this.#dead;
  }

  /** Looks at what is there. Which images stay shows when it is known which manifests do. */
  async mark(marks: Marks): Promise<void> {
    for await (const id of this.#ids()) {
      const found = isImageId(id) && !this.#found.has(id) && (await this.#look(id, marks));
      if (found) this.#found.set(id as V1ImageId, found);
    }
    for await (const name of this.#driver.list(v1StagingRoot)) await this.#keepStaged(name);
  }

  async markLast(marks: Marks, options: MarkOptions): Promise<void> {
    for (const [id, { pushed, modified }] of this.#found) {
      const stays = pushed !== undefined && !this.#untagged;
      if (stays || modified > options.keepAfter) this.#keep(id);
    }
    if (this.#untagged || [...this.#found.values()].some(({ kept }) => kept)) {
      for await (const id of namedV1Images(this.#driver, marks, options)) this.#keep(id);
    }
    for (const [id, { pushed, kept }] of this.#found) {
      if (this.#live.has(id) || marks.everything) {
        for (const blob of [pushed, kept]) if (blob) marks.blob(blob);
        continue;
      }
      if (pushed) this.#dead.push(id);
      if (kept) this.#childless.push(id);
    }
    for (const id of this.#dead) options.print(`V1 image eligible for deletion: ${id}`);
  }

  /** Images go before their layers. */
  async sweep(): Promise<void> {
    for (const id of this.#childless) {
      await this.#driver.delete(v1Kept(id), { durable: false });
      this.#driver.local?.prune?.(v1ReadersRoot(id), v1ReadersRoot(id));
    }
    for (const id of this.#dead) await removeV1Image(this.#driver, id);
    if (this.#dead.length > 0) await unlistV1Images(this.#driver, new Set(this.#dead));
  }

  async forget(digest: Digest): Promise<void> {
    const facts = await ifFound(this.#driver.get(blobFacts(digest)));
    const diffId = facts && digestIn(parsed(facts), 'diffId');
    const paths = [
      blobFacts(digest),
      dirname(blobCompressed(digest)),
      dirname(bridgeRecord(digest, 'origin')),
    ];
    if (diffId) paths.push(diffBlob(diffId, digest));
    for (const path of paths) await this.#driver.delete(path, { durable: false });
  }

  /** Of all images that were pushed, and all that may have been kept. */
  async *#ids(): AsyncGenerator<string> {
    yield* this.#driver.list(v1ImagesRoot);
    for await (const shard of this.#driver.list(v1AllReadersRoot)) {
      yield* this.#driver.list(`${v1AllReadersRoot}/${shard}`);
    }
  }

  async #look(id: V1ImageId, marks: Marks): Promise<Found | undefined> {
    const [pushed, kept] = await Promise.all([
      this.#read(v1ImageRecord(id), firstLine),
      this.#read(v1Kept(id)),
    ]);
    if (!pushed && !kept) return undefined;
    const found: Found = {
      pushed: pushed && digestIn(pushed.value, 'blob'),
      kept: kept && digestIn(member(kept.value, 'link'), 'blob'),
      parents: [],
      modified: Math.max(pushed?.modified ?? 0, kept?.modified ?? 0),
    };
    if ((pushed && !found.pushed) || (kept && !found.kept)) {
      marks.keepEverything(`V1 image ${id}: its record is damaged; nothing is deleted`);
    }
    for (const record of [pushed, kept]) {
      const ancestry = member(record?.value, 'ancestry');
      const parent: unknown = Array.isArray(ancestry) ? ancestry[1] : undefined;
      if (typeof parent === 'string' && isImageId(parent)) found.parents.push(parent);
    }
    return found;
  }

  /** What is being pushed, and all that it is pushed on top of. */
  async #keepStaged(name: string): Promise<void> {
    const { id, claimant } = v1Staged(name);
    if (!isImageId(id)) return;
    const staged = await this.#read(v1StagingFile(id, claimant, 'json'), firstLine);
    if (!Array.isArray(staged?.value)) return;
    for (const each of staged.value)
      if (typeof each === 'string') this.#live.add(each as V1ImageId);
  }

  /** An image and all below it. */
  #keep(id: V1ImageId): void {
    const queue = [id];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const isNew = !this.#live.has(next);
      this.#live.add(next);
      if (isNew || next === id) queue.push(...(this.#found.get(next)?.parents ?? []));
    }
  }

  async #read(
    path: string,
    part = (bytes: Buffer) => bytes,
  ): Promise<{ value: unknown; modified: number } | undefined> {
    const [info, bytes] = await Promise.all([
      ifFound(this.#driver.stat(path)),
      ifFound(this.#driver.get(path)),
    ]);
    return info && bytes && { value: parsed(part(bytes)), modified: info.modified };
  }
}

/** Records of images begin with a line of JSON; what follows is a client's. */
function firstLine(bytes: Buffer): Buffer {
  return bytes.subarray(0, Math.max(0, bytes.indexOf('\n')));
}

/** Undefined for a torn record. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function digestIn(value: unknown, name: string): Digest | undefined {
  const digest = member(value, name);
  return typeof digest === 'string' && isDigest(digest) ? digest : undefined;
}
