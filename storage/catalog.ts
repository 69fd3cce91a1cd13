import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FileStamp, StorageDriver } from './driver.ts';
import { sameStamp, settled } from './links.ts';
import { firstAfter, gather } from './listings.ts';
import { compareNames, isRepositoryName, type RepositoryName } from './names.ts';
import { repositoriesRoot, storeRecord, v1TagsRoot } from './paths.ts';
import type { Page } from './tags.ts';
import { WatchedRecord } from './watched-record.ts';

/** How long a walk is believed for repositories that another program made in the same tree. */
const FOREIGN_MS = 30_000;
const GENERATION = storeRecord('catalog-generation');
/** Other requests get their turn after so many directories. */
const TURN = 500;

/** What a walk found in a directory. */
interface Folder {
  /** Undefined where it may change again without a sign. */
  stamp: FileStamp | undefined;
  ofV2: boolean;
  ofV1: boolean;
  below: string[];
}

interface Walk {
  generation: string;
  at: number;
  folders: Map<string, Folder>;
  names: RepositoryName[];
  /** With those that V1 clients alone can see anything of. */
  ofBoth: RepositoryName[];
}

/**
 * The names of all repositories. The tree is walked once; each new repository changes the generation record, which
 * every worker compares before it believes its own walk. On a local file system a later walk lists only the directories
 * that have changed.
 */
export class Catalog {
  readonly #driver: StorageDriver;
  readonly #generation: WatchedRecord;
  #walk: Walk | undefined;
  #walking: { generation: string; walk: Promise<Walk> } | undefined;

  constructor(driver: StorageDriver) {
    this.#driver = driver;
    this.#generation = new WatchedRecord(driver, GENERATION);
  }

  /** Names after `last`, at most `count`, ordered by component (v2.md 1.6). */
  async page(
    last: string | undefined,
    count: number,
    visible: (name: RepositoryName) => boolean = () => true,
  ): Promise<Page<RepositoryName>> {
    const { names } = await this.#current();
    const items: RepositoryName[] = [];
    const start = last === undefined ? 0 : firstAfter(names, last, compareNames);
    for (let at = start; at < names.length; at += 1) {
      const name = names[at] as RepositoryName;
      if (!visible(name)) continue;
      if (items.length === count) return { items, more: true };
      items.push(name);
    }
    return { items, more: false };
  }

  async all(): Promise<readonly RepositoryName[]> {
    return (await this.#current()).names;
  }

  /** As `all`, with the repositories whose tags are seen over V1 only. */
  async ofBothProtocols(): Promise<readonly RepositoryName[]> {
    return (await this.#current()).ofBoth;
  }

  /**
   * Every repository that holds anything, also those with blobs or uploads but no manifest yet. Walks the tree each time: for
   * rare questions that the catalog cannot answer.
   */
  async *everywhere(prefix = ''): AsyncGenerator<RepositoryName> {
    const path = prefix === '' ? repositoriesRoot : `${repositoriesRoot}/${prefix}`;
    const children = await gather(this.#driver.list(path));
    const holds = children.some((child) => child.startsWith('_'));
    if (holds && isRepositoryName(prefix)) yield prefix;
    for (const child of children) {
      if (!child.startsWith('_'))
        yield* this.everywhere(prefix === '' ? child : `${prefix}/${child}`);
    }
  }

  /** Says that a repository came or went; call it once the change can be read. */
  async changed(): Promise<void> {
    await this.#driver.put(GENERATION, randomUUID(), { durable: false });
  }

  async #current(): Promise<Walk> {
    const walk = this.#walk;
    const text = this.#generation.text();
    const generation = text instanceof Promise ? await text : text;
    if (walk?.generation !== generation) return this.#refresh(generation);
    if (Date.now() - walk.at > FOREIGN_MS) this.#refresh(generation).catch(() => undefined);
    return walk;
  }

  /** One walk at a time for each generation. */
  #refresh(generation: string): Promise<Walk> {
    const running = this.#walking;
    if (running?.generation === generation) return running.walk;
    const walking = { generation, walk: this.#start(generation) };
    this.#walking = walking;
    const settle = () => {
      if (this.#walking === walking) this.#walking = undefined;
    };
    walking.walk.then(settle, settle);
    return walking.walk;
  }

  async #start(generation: string): Promise<Walk> {
    const walk: Walk = { generation, at: Date.now(), folders: new Map(), names: [], ofBoth: [] };
    await this.#descend('', walk);
    walk.names.sort(compareNames);
    walk.ofBoth.sort(compareNames);
    this.#walk = walk;
    return walk;
  }

  async #descend(prefix: string, walk: Walk): Promise<void> {
    const folder = await this.#folder(prefix);
    walk.folders.set(prefix, folder);
    if (walk.folders.size % TURN === 0) await nextTurn();
    if (isRepositoryName(prefix)) {
      if (folder.ofV2) walk.names.push(prefix);
      if (folder.ofV2 || (folder.ofV1 && (await this.#hasV1Tags(prefix)))) walk.ofBoth.push(prefix);
    }
    for (const child of folder.below) {
      await this.#descend(prefix === '' ? child : `${prefix}/${child}`, walk);
    }
  }

  /** What the last walk found there, if nothing has changed since. */
  async #folder(prefix: string): Promise<Folder> {
    const path = prefix === '' ? repositoriesRoot : `${repositoriesRoot}/${prefix}`;
    const stamp = this.#driver.local?.stamp(path);
    const known = this.#walk?.folders.get(prefix);
    if (stamp && known?.stamp && sameStamp(known.stamp, stamp)) return known;
    const children = await gather(this.#driver.list(path));
    return {
      stamp: stamp && settled(stamp) ? stamp : undefined,
      ofV2: children.includes('_manifests'),
      ofV1: children.includes('_v1'),
      below: children.filter((child) => !child.startsWith('_')),
    };
  }

  async #hasV1Tags(name: RepositoryName): Promise<boolean> {
    for await (const _tag of this.#driver.list(v1TagsRoot(name))) return true;
    return false;
  }
}
