import { dirname } from 'node:path/posix';
import type { ContentStore } from './content-store.ts';
import { type Digest, isDigest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { linksBelow, type MarkOptions, Marks, markRepository } from './garbage-marks.ts';
import { isTag, type RepositoryName } from './names.ts';
import {
  blobData,
  blobDirectory,
  blobsRoot,
  layersRoot,
  tagHistoryLink,
  tagsRoot,
} from './paths.ts';

/** A kind of content that keeps blobs alive beside the manifests of repositories. */
export interface GarbageRoot {
  /** Marks what must stay; runs before any manifest is looked at. */
  mark(marks: Marks): Promise<void>;
  /** Marks what follows from the manifests that stay. */
  markLast?(marks: Marks, options: MarkOptions): Promise<void>;
  /** Deletes what was not marked, before any blob goes. */
  sweep?(): Promise<void>;
  /** Drops what is known of a blob or manifest whose data was deleted. */
  forget?(digest: Digest): Promise<void>;
}

export interface GarbageOptions {
  /** Says what would be deleted and deletes nothing. */
  dryRun: boolean;
  /** Also gives up manifests that neither a tag, nor an index, nor a living subject keeps. */
  deleteUntagged: boolean;
  /** Leaves out the lines for each repository, manifest and blob. */
  quiet?: boolean;
  /**
   * What was written in the last so many milliseconds is kept, since the manifest of a push comes after its blobs.
   * Default one hour.
   */
  graceMs?: number;
  roots?: readonly GarbageRoot[];
}

export interface GarbageReport {
  /** Digests that were found to be in use. */
  marked: number;
  /** Blobs, manifests among them, that nothing keeps. */
  blobs: Digest[];
  manifests: { repository: RepositoryName; digest: Digest }[];
  /** Links to blobs that are not stored, or no longer. */
  links: { repository: RepositoryName; digest: Digest }[];
  /** Bytes of `blobs`. */
  bytes: number;
  /** What could not be read. Nothing was deleted that it may refer to; the command line ends with an error. */
  problems: string[];
}

const DEFAULT_GRACE_MS = 60 * 60 * 1000;

/**
 * Deletes what no manifest, tag or other root refers to (v2.md 7). It runs while nobody writes: the grace time only
 * forgives a push that is under way. Prints what distribution's `garbage-collect` prints, one line a call.
 */
export async function collectGarbage(
  content: ContentStore,
  options: GarbageOptions,
  print: (line: string) => void,
): Promise<GarbageReport> {
  const detail = options.quiet ? () => undefined : print;
  const keepAfter = Date.now() - (options.graceMs ?? DEFAULT_GRACE_MS);
  const marks = new Marks();
  for (const root of options.roots ?? []) await root.mark(marks);

  const marking = { deleteUntagged: options.deleteUntagged, keepAfter, print: detail };
  const repositories: RepositoryName[] = [];
  const manifests: GarbageReport['manifests'] = [];
  for await (const repository of content.catalog.everywhere()) {
    repositories.push(repository);
    for (const digest of await markRepository(content, repository, marks, marking)) {
      manifests.push({ repository, digest });
    }
  }
  for (const root of options.roots ?? []) await root.markLast?.(marks, marking);
  if (marks.everything) manifests.length = 0;

  const { blobs, bytes } = await findDeadBlobs(content.driver, marks, marking);
  const links = await findDeadLinks(content.driver, repositories, new Set(blobs), marks);
  for (const { digest } of manifests) detail(`manifest eligible for deletion: ${digest}`);
  detail('');
  print(
    `${marks.blobs.size} blobs marked, ${blobs.length} blobs and ${manifests.length} manifests eligible for deletion`,
  );
  for (const digest of blobs) detail(`blob eligible for deletion: ${digest}`);
  for (const { repository, digest } of links) {
    detail(`${repository}: layer link eligible for deletion: ${digest}`);
  }
  for (const problem of marks.problems) print(`problem: ${problem}`);
  const report = {
    marked: marks.blobs.size,
    blobs,
    manifests,
    links,
    bytes,
    problems: marks.problems,
  };
  if (!options.dryRun) await sweep(content, report, options.roots ?? []);
  return report;
}

/** Links go before what they link to, so that a sweep that breaks off leaves nothing dangling. */
async function sweep(
  content: ContentStore,
  report: GarbageReport,
  roots: readonly GarbageRoot[],
): Promise<void> {
  const { driver } = content;
  for (const { repository, digest } of report.manifests) {
    await dropFromHistory(driver, repository, digest);
    await content.repository(repository).manifests.delete(digest);
  }
  for (const { repository, digest } of report.links) {
    const [algorithm, hex] = digest.split(':');
    await driver.delete(`${layersRoot(repository)}/${algorithm}/${hex}`, { durable: false });
  }
  for (const root of roots) await root.sweep?.();
  for (const digest of report.blobs) {
    await driver.delete(blobDirectory(digest), { durable: false });
    for (const root of roots) await root.forget?.(digest);
  }
}

/** Tags remember what they named; a manifest that is gone leaves those lists too, as distribution does it. */
async function dropFromHistory(
  driver: StorageDriver,
  repository: RepositoryName,
  digest: Digest,
): Promise<void> {
  for await (const tag of driver.list(tagsRoot(repository))) {
    if (!isTag(tag)) continue;
    await driver.delete(dirname(tagHistoryLink(repository, tag, digest)), { durable: false });
  }
}

async function findDeadBlobs(
  driver: StorageDriver,
  marks: Marks,
  { keepAfter }: MarkOptions,
): Promise<{ blobs: Digest[]; bytes: number }> {
  const blobs: Digest[] = [];
  let bytes = 0;
  if (marks.everything) return { blobs, bytes };
  for await (const digest of storedBlobs(driver)) {
    if (marks.blobs.has(digest)) continue;
    const info = await ifFound(driver.stat(blobData(digest)));
    if (!info || info.modified > keepAfter) continue;
    blobs.push(digest);
    bytes += info.size;
  }
  return { blobs, bytes };
}

async function* storedBlobs(driver: StorageDriver): AsyncGenerator<Digest> {
  for await (const algorithm of driver.list(blobsRoot)) {
    for await (const shard of driver.list(`${blobsRoot}/${algorithm}`)) {
      for await (const hex of driver.list(`${blobsRoot}/${algorithm}/${shard}`)) {
        const digest = `${algorithm}:${hex}`;
        if (isDigest(digest)) yield digest;
      }
    }
  }
}

async function findDeadLinks(
  driver: StorageDriver,
  repositories: readonly RepositoryName[],
  dead: ReadonlySet<Digest>,
  marks: Marks,
): Promise<GarbageReport['links']> {
  const links: GarbageReport['links'] = [];
  if (marks.everything) return links;
  for (const repository of repositories) {
    for await (const { named, target } of linksBelow(driver, layersRoot(repository))) {
      if (!target) continue;
      const gone = dead.has(target) || !(await ifFound(driver.stat(blobData(target))));
      if (gone) links.push({ repository, digest: named });
    }
  }
  return links;
}
