import { randomUUID } from 'node:crypto';
import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { firstAfter, gather } from './listings.ts';
import { compareNames, isRepositoryName, type RepositoryName } from './names.ts';
import { repositoriesRoot, storeRecord, v1TagsRoot } from './paths.ts';
import type { Page } from './tags.ts';

/** How long a walk is believed for repositories that another program made in the same tree. */
const FOREIGN_MS = 30_000;
const GENERATION = storeRecord('catalog-generation');

interface Walk {
  generation: string;
  at: number;
  names: RepositoryName[];
  /** With those that V1 clients alone can see anything of. */
  ofBoth: RepositoryName[];
}

/**
 * The names of all repositories. The tree is walked once; each new repository changes the generation record, which
 * every worker compares before it believes its own walk.
 */
export class Catalog {
  readonly #driver: StorageDriver;
  #walk: Walk | undefined;
  #walking: { generation: string; walk: Promise<Walk> } | undefined;

  constructor(driver: StorageDriver) {
    this.#driver = driver;
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
    const generation = await this.#generation();
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
    const at = Date.now();
    const names: RepositoryName[] = [];
    const ofBoth: RepositoryName[] = [];
    await this.#descend('', names, ofBoth);
    names.sort(compareNames);
    ofBoth.sort(compareNames);
    this.#walk = { generation, at, names, ofBoth };
    return this.#walk;
  }

  async #generation(): Promise<string> {
    const { local } = this.#driver;
    const bytes = local ? local.get(GENERATION) : await ifFound(this.#driver.get(GENERATION));
    return bytes?.toString() ?? '';
  }

  async #descend(prefix: string, names: RepositoryName[], ofBoth: RepositoryName[]): Promise<void> {
    const path = prefix === '' ? repositoriesRoot : `${repositoriesRoot}/${prefix}`;
    const children = await gather(this.#driver.list(path));
    if (isRepositoryName(prefix)) {
      const ofV2 = children.includes('_manifests');
      if (ofV2) names.push(prefix);
      if (ofV2 || (children.includes('_v1') && (await this.#hasV1Tags(prefix))))
        ofBoth.push(prefix);
    }
    for (const child of children) {
      if (child.startsWith('_')) continue;
      await this.#descend(prefix === '' ? child : `${prefix}/${child}`, names, ofBoth);
    }
  }

  async #hasV1Tags(name: RepositoryName): Promise<boolean> {
    for await (const _tag of this.#driver.list(v1TagsRoot(name))) return true;
    return false;
  }
}
