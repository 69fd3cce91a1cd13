import { realpathSync } from 'node:fs';
import type { ContentStore } from '../content-store.ts';
import { PathNotFoundError, RegistryError } from '../errors.ts';
import { isTag, type RepositoryName, type V1ImageId } from '../names.ts';
import { importedTreesRecord } from '../paths.ts';
import { readRecord, updateRecord } from '../records.ts';
import type { V1Reader } from '../v1-images.ts';
import { emptyReport, type OnProgress, type TreeImportReport } from './import-report.ts';
import { judgeChecksums } from './v1-checksums.ts';
import { Lineage } from './v1-lineage.ts';
import type { TreeImage, TreeRepository, TreeTag, V1Tree } from './v1-tree.ts';

export interface TreeImportOptions {
  /** The repository that a V1 path such as `library/ubuntu` means. Throws NAME_INVALID. */
  nameOf(path: string): Promise<RepositoryName>;
  /** Says what would be done, and does nothing. */
  dryRun?: boolean;
  /** Brings in the images of no tag, too. */
  orphans?: boolean;
  /** Moves tags that name something else here. Otherwise they stay: what was pushed since is newer. */
  moveTags?: boolean;
  /** False copies layers where they could be linked. */
  link?: boolean;
  /** Images at the same time. Default 4. */
  concurrency?: number;
  onProgress?: OnProgress;
}

const EVERYTHING: V1Reader = { unrestricted: true, mayPull: () => true, claimant: '' };

/** Errors of reading the tree: the image is broken, the import goes on. */
const READ_ERRORS = ['EIO', 'EACCES', 'EPERM', 'ENOENT', 'EISDIR', 'ELOOP'];

type Outcome = { stored: true } | { reason: string };

/**
 * Brings a tree of docker-registry 0.6 to 0.9 into the store (v1.md 3.3). An image comes in whole, checked, and after
 * all that it is built on, or not at all; what is there already is skipped, so a broken run is simply run again.
 */
export class V1TreeImport {
  readonly #tree: V1Tree;
  readonly #store: ContentStore;
  readonly #options: TreeImportOptions;
  readonly #images = new Map<V1ImageId, TreeImage>();
  readonly #lineage = new Lineage(this.#images);
  readonly #outcomes = new Map<V1ImageId, Promise<Outcome>>();
  readonly #report: TreeImportReport;
  #total = 0;
  #done = 0;

  constructor(tree: V1Tree, store: ContentStore, options: TreeImportOptions) {
    this.#tree = tree;
    this.#store = store;
    this.#options = options;
    this.#report = emptyReport(options.dryRun ?? false);
  }

  async run(): Promise<TreeImportReport> {
    const { ids, strangers } = this.#tree.images();
    for (const name of strangers) this.#leave(`images/${name}`, 'its name is no image ID');
    for (const id of ids) this.#images.set(id, this.#tree.image(id));
    const repositories = [...this.#tree.repositories()];
    await this.#takeImages(this.#wanted(repositories));
    for (const repository of repositories) await this.#takeRepository(repository);
    if (!this.#report.dryRun) await noteImported(this.#store, this.#tree.root);
    this.#report.broken.sort((a, b) => (a.id < b.id ? -1 : 1));
    return this.#report;
  }

  /** The images to bring in, each after its parent. All that are broken are told, whether a tag needs them or not. */
  #wanted(repositories: readonly TreeRepository[]): V1ImageId[] {
    const wanted = new Set<V1ImageId>();
    for (const { id } of repositories.flatMap((each) =>
      each.tags.filter(({ name }) => isTag(name)),
    )) {
      if ('depth' in this.#lineage.standing(id)) {
        for (const each of this.#lineage.ancestry(id)) wanted.add(each);
      }
    }
    for (const image of this.#images.values()) {
      const standing = this.#lineage.standing(image.id);
      if ('reason' in standing) this.#report.broken.push({ id: image.id, reason: standing.reason });
      else if (this.#options.orphans) wanted.add(image.id);
      else if (!wanted.has(image.id)) {
        this.#report.orphans.count += 1;
        this.#report.orphans.bytes += image.layerBytes;
      }
    }
    const depth = (id: V1ImageId) => (this.#lineage.standing(id) as { depth: number }).depth;
    return [...wanted].sort((a, b) => depth(a) - depth(b));
  }

  async #takeImages(ids: readonly V1ImageId[]): Promise<void> {
    for (const id of ids) this.#total += this.#image(id).layerBytes;
    this.#advance(0);
    // In order of depth, so a parent is always begun before an image waits for it.
    const queue = ids.values();
    let stopped = false;
    const work = async () => {
      for (const id of queue) {
        if (stopped) return;
        const outcome = this.#takeImage(id);
        this.#outcomes.set(id, outcome);
        const ended = await outcome.catch((error: unknown) => {
          // Nothing goes on where the import itself fails.
          stopped = true;
          throw error;
        });
        if ('reason' in ended) this.#report.broken.push({ id, reason: ended.reason });
      }
    };
    const workers = Array.from({ length: this.#options.concurrency ?? 4 }, work);
    const results = await Promise.allSettled(workers);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #takeImage(id: V1ImageId): Promise<Outcome> {
    const image = this.#image(id);
    let seen = 0;
    const onBytes = (bytes: number) => {
      seen += bytes;
      this.#advance(bytes);
    };
    try {
      return await this.#takeUnder(image, onBytes);
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) throw error;
      return { reason };
    } finally {
      this.#advance(image.layerBytes - seen);
    }
  }

  async #takeUnder(image: TreeImage, onBytes: (bytes: number) => void): Promise<Outcome> {
    const { id, parent } = image;
    const below = parent && (await this.#outcomes.get(parent));
    if (below && 'reason' in below) {
      const first = below.reason.startsWith('its ancestor ');
      return { reason: first ? below.reason : `its ancestor ${parent} is broken: ${below.reason}` };
    }
    const json = this.#tree.json(id);
    const present = await this.#store.explicit.get(id);
    if (present && !present.json.equals(json)) {
      return { reason: 'an image of this ID with another JSON is stored already' };
    }
    if (present && present.layer.size === image.layerBytes) {
      this.#report.images.present += 1;
      return { stored: true };
    }
    this.#noteAncestry(image);
    if (!this.#report.dryRun) await this.#bring(image, json, onBytes);
    this.#report.images.imported += 1;
    this.#report.layers.bytes += image.layerBytes;
    return { stored: true };
  }

  async #bring(image: TreeImage, json: Buffer, onBytes: (bytes: number) => void): Promise<void> {
    const { id } = image;
    const stored = this.#tree.checksums(id);
    const how = await this.#store.pushes.take(
      { id, json, ancestry: this.#lineage.ancestry(id) },
      { filename: this.#tree.file(id, 'layer'), link: this.#options.link ?? true },
      {
        check: (sums) => {
          const judged = judgeChecksums(stored, sums);
          if (judged.verdict === 'wrong') throw new BrokenImage(judged.reason);
          if (judged.verdict === 'unknown') this.#report.unverified += 1;
        },
        onBytes,
      },
    );
    this.#report.layers[how] += 1;
  }

  #noteAncestry(image: TreeImage): void {
    if (this.#lineage.agrees(image)) return;
    const note =
      image.ancestry === undefined
        ? 'its ancestry was missing and is made from the parents'
        : 'its ancestry did not fit the parents and is made again';
    this.#report.notes.push({ what: `image ${image.id}`, note });
  }

  async #takeRepository(found: TreeRepository): Promise<void> {
    const { directory, path, tags, strangers } = found;
    const shown = path ?? `${directory.namespace}/${directory.repository}`;
    for (const file of strangers) this.#leave(`${shown} ${file}`, 'its content is no image ID');
    let name: RepositoryName;
    try {
      if (path === undefined) throw new BrokenImage('its directory is not encoded right');
      name = await this.#options.nameOf(path);
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) throw error;
      this.#leave(shown, reason);
      return;
    }
    for (const tag of tags) {
      const reason = await this.#takeTag(name, tag);
      if (reason !== undefined) this.#leave(`${shown}:${tag.name}`, reason);
    }
    await this.#takeExtras(name, found);
  }

  /** Gives why the tag is left out. */
  async #takeTag(
    name: RepositoryName,
    { name: tag, id, info }: TreeTag,
  ): Promise<string | undefined> {
    if (!isTag(tag)) return 'its name is not one of [A-Za-z0-9_][A-Za-z0-9._-]{0,127}';
    const standing = this.#lineage.standing(id);
    if ('reason' in standing) return `image ${id}: ${standing.reason}`;
    const outcome = await this.#outcomes.get(id);
    if (outcome && 'reason' in outcome) return `image ${id}: ${outcome.reason}`;
    const repository = this.#store.repository(name);
    const current = await repository.v1.tag(tag);
    this.#report.repositories.add(name);
    if (current === id) {
      this.#report.tags.present += 1;
      return undefined;
    }
    const taken = current !== undefined || (await repository.tags.resolve(tag)) !== undefined;
    if (taken && !this.#options.moveTags) {
      return `${name}:${tag} is stored already and names ${current ?? 'a manifest'}; --move-tags moves it`;
    }
    this.#report.tags.imported += 1;
    if (this.#report.dryRun) return undefined;
    if (info) await repository.v1.writeRecord(`tag-info/${tag}`, info);
    await repository.v1.setTag(tag, id, EVERYTHING);
    return undefined;
  }

  /** What else the repository knows: that it is private, and its list of images, those that came in. */
  async #takeExtras(name: RepositoryName, found: TreeRepository): Promise<void> {
    const { v1 } = this.#store.repository(name);
    const listed: TreeRepository['list'] = [];
    for (const entry of found.list) {
      const outcome = await this.#outcomes.get(entry.id);
      if (outcome && 'stored' in outcome) listed.push(entry);
    }
    if (listed.length === 0 && found.tags.length === 0) {
      if (found.list.length > 0)
        this.#leave(found.path ?? name, 'it has no tags, only a list of images');
      if (!found.private) return;
    }
    this.#report.repositories.add(name);
    if (this.#report.dryRun) return;
    if (found.private && !(await v1.readRecord('properties'))) {
      await v1.writeRecord('properties', JSON.stringify({ access: 'private' }));
    }
    if (listed.length > 0) await v1.announce(listed);
  }

  #image(id: V1ImageId): TreeImage {
    return this.#images.get(id) as TreeImage;
  }

  #leave(what: string, reason: string): void {
    this.#report.left.push({ what, reason });
  }

  #advance(bytes: number): void {
    this.#done += bytes;
    this.#options.onProgress?.({ done: this.#done, total: this.#total });
  }
}

/** The image, or what it needs, is of no use; the import goes on without it. */
class BrokenImage extends Error {}

/** Why one image is left out; undefined when the import itself must end. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof BrokenImage) return error.message;
  if (error instanceof RegistryError) {
    return error.code.startsWith('STORAGE_') ? undefined : error.message;
  }
  if (error instanceof PathNotFoundError) return error.message;
  const { code, message } = error as NodeJS.ErrnoException;
  return code !== undefined && READ_ERRORS.includes(code) ? message : undefined;
}

/** Remembers that a tree was brought in, so that the start needs not speak of it again. */
async function noteImported(store: ContentStore, root: string): Promise<void> {
  const path = realpathSync(root);
  await updateRecord<string[]>(store.driver, importedTreesRecord, (known = []) =>
    known.includes(path) ? undefined : [...known, path],
  );
}

/** Whether this tree was brought into the store before. */
export async function wasImported(store: ContentStore, root: string): Promise<boolean> {
  const known = await readRecord<string[]>(store.driver, importedTreesRecord);
  return known?.includes(realpathSync(root)) ?? false;
}
