import type { ContentStore } from './content-store.ts';
import { algorithmOf, type Digest, digestOf, hexOf, isDigest } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound, RegistryError } from './errors.ts';
import { type Descriptor, type Manifest, parseManifest } from './manifest.ts';
import { isTag, type RepositoryName, type Tag } from './names.ts';
import {
  blobData,
  layerLink,
  layersRoot,
  revisionsRoot,
  signaturesRoot,
  tagHistoryRoot,
  tagLink,
  tagsRoot,
} from './paths.ts';

/** What must survive a garbage collection. Whoever owns a kind of content marks what it refers to. */
export class Marks {
  readonly blobs = new Set<Digest>();
  /** What could not be read: nothing is deleted that it may refer to. */
  readonly problems: string[] = [];
  readonly #manifests = new Map<RepositoryName, Set<Digest>>();
  #everything = false;

  /** Whether nothing at all may be deleted. */
  get everything(): boolean {
    return this.#everything;
  }

  /** Keeps the data of a blob or manifest. Gives whether it was not kept before. */
  blob(digest: Digest): boolean {
    if (this.blobs.has(digest)) return false;
    this.blobs.add(digest);
    return true;
  }

  /** Keeps a manifest of a repository, and what it refers to, although no tag names it. */
  manifest(repository: RepositoryName, digest: Digest): void {
    const kept = this.#manifests.get(repository);
    if (kept) kept.add(digest);
    else this.#manifests.set(repository, new Set([digest]));
  }

  keptManifests(repository: RepositoryName): Iterable<Digest> {
    return this.#manifests.get(repository) ?? [];
  }

  /** Something could not be read, but what it keeps alive is known and marked. */
  problem(reason: string): void {
    this.problems.push(reason);
  }

  /** Something could not be read that may refer to anything: nothing is deleted. */
  keepEverything(reason: string): void {
    this.problem(reason);
    this.#everything = true;
  }
}

export interface MarkOptions {
  /** Manifests that neither a tag, nor an index, nor a living subject keeps are given up. */
  deleteUntagged: boolean;
  /** What was written after this moment is kept, in milliseconds since the epoch. */
  keepAfter: number;
  print(line: string): void;
}

interface Revision {
  digest: Digest;
  /** Absent when the bytes are missing or damaged. */
  manifest?: Manifest;
  /** Kept although no tag names it: it was just pushed, or its link is damaged. */
  fresh: boolean;
}

/** A link in the tree: the digest that its path names, and the one that it holds; undefined when it is torn. */
export interface Link {
  named: Digest;
  target: Digest | undefined;
  path: string;
}

/** Marks what the manifests of one repository keep alive, and gives those that nothing keeps. */
export async function markRepository(
  content: ContentStore,
  name: RepositoryName,
  marks: Marks,
  options: MarkOptions,
): Promise<Digest[]> {
  const { driver } = content;
  options.print(name);
  const revisions = await readRevisions(driver, name, marks, options);
  const damaged = revisions.some(({ manifest }) => !manifest);
  const live =
    damaged || !options.deleteUntagged
      ? new Set(revisions.map(({ digest }) => digest))
      : await livingRevisions(driver, name, revisions, marks);
  for (const revision of revisions) {
    if (live.has(revision.digest)) await markRevision(driver, name, revision, marks, options);
  }
  for await (const link of linksBelow(driver, layersRoot(name))) {
    const { target, named } = link;
    if (!target) await reportTornLayer(driver, name, named, marks);
    else if (damaged || (await isFresh(driver, link.path, options))) marks.blob(target);
  }
  return revisions.map(({ digest }) => digest).filter((digest) => !live.has(digest));
}

async function readRevisions(
  driver: StorageDriver,
  name: RepositoryName,
  marks: Marks,
  options: MarkOptions,
): Promise<Revision[]> {
  const revisions: Revision[] = [];
  for await (const { named, target, path } of linksBelow(driver, revisionsRoot(name))) {
    // A torn link still names its manifest by its place.
    if (target !== named) marks.problem(`${name}: the link of manifest ${named} is damaged`);
    const manifest = await readManifest(driver, named);
    if (!manifest) {
      marks.problem(
        `${name}: manifest ${named} is missing or damaged; everything that ${name} holds is kept`,
      );
    }
    const fresh = target !== named || (await isFresh(driver, path, options));
    revisions.push({ digest: named, fresh, ...(manifest && { manifest }) });
  }
  return revisions;
}

/** Larger documents are no manifests. */
const MAX_MANIFEST = 64 << 20;
const DIGESTS = /sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})/g;

async function readManifest(driver: StorageDriver, digest: Digest): Promise<Manifest | undefined> {
  const info = await ifFound(driver.stat(blobData(digest)));
  if (!info || info.size > MAX_MANIFEST) return undefined;
  const bytes = await ifFound(driver.get(blobData(digest)));
  if (!bytes || digestOf(bytes, algorithmOf(digest)) !== digest) return undefined;
  try {
    return parseManifest(bytes, undefined, algorithmOf(digest));
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return anyDigests(bytes, digest);
  }
}

/** Of a document that we cannot read but another registry stored, every digest in it is a reference. */
function anyDigests(bytes: Buffer, digest: Digest): Manifest {
  const mediaType = 'application/octet-stream';
  const references: Descriptor[] = [];
  for (const found of bytes.toString('latin1').match(DIGESTS) ?? []) {
    if (isDigest(found)) references.push({ mediaType, digest: found, size: 0 });
  }
  const descriptor = { mediaType, digest, size: bytes.length };
  return { bytes, descriptor, kind: 'index', layers: references, manifests: references };
}

/**
 * Manifests that a tag names, or that were just pushed, with the children of every index among them and whatever
 * refers to them: a signature lives as long as what it signs.
 */
async function livingRevisions(
  driver: StorageDriver,
  name: RepositoryName,
  revisions: Revision[],
  marks: Marks,
): Promise<Set<Digest>> {
  const byDigest = new Map(revisions.map((revision) => [revision.digest, revision]));
  const referrers = new Map<Digest, Digest[]>();
  for (const { digest, manifest } of revisions) {
    const subject = manifest?.subject?.digest;
    if (subject) referrers.set(subject, [...(referrers.get(subject) ?? []), digest]);
  }
  const queue: Digest[] = [
    ...marks.keptManifests(name),
    ...(await taggedDigests(driver, name, marks)),
  ];
  for (const { digest, fresh } of revisions) if (fresh) queue.push(digest);
  const live = new Set<Digest>();
  for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
    if (live.has(digest)) continue;
    live.add(digest);
    queue.push(...(referrers.get(digest) ?? []));
    for (const child of byDigest.get(digest)?.manifest?.manifests ?? []) queue.push(child.digest);
  }
  return live;
}

/** What the tags name now; of a tag whose link is torn, everything that it ever named. */
async function taggedDigests(
  driver: StorageDriver,
  name: RepositoryName,
  marks: Marks,
): Promise<Digest[]> {
  const digests: Digest[] = [];
  for await (const tag of driver.list(tagsRoot(name))) {
    if (!isTag(tag)) continue;
    const target = await readLink(driver, tagLink(name, tag));
    if (target) digests.push(target);
    else digests.push(...(await historyOf(driver, name, tag, marks)));
  }
  return digests;
}

async function historyOf(
  driver: StorageDriver,
  name: RepositoryName,
  tag: Tag,
  marks: Marks,
): Promise<Digest[]> {
  const digests: Digest[] = [];
  for await (const { named } of linksBelow(driver, tagHistoryRoot(name, tag))) digests.push(named);
  marks.problem(`${name}: the link of tag ${tag} is damaged; all that it ever named is kept`);
  return digests;
}

async function markRevision(
  driver: StorageDriver,
  name: RepositoryName,
  { digest, manifest }: Revision,
  marks: Marks,
  options: MarkOptions,
): Promise<void> {
  options.print(`${name}: marking manifest ${digest}`);
  marks.blob(digest);
  const mark = (reference: Digest): void => {
    if (marks.blob(reference)) options.print(`${name}: marking blob ${reference}`);
  };
  if (manifest) {
    const { config, layers, manifests } = manifest;
    for (const reference of [...(config ? [config] : []), ...layers, ...manifests]) {
      mark(reference.digest);
      // A blob may be stored under another digest than the one that the manifest knows (v2.md 3).
      const canonical = await readLink(driver, layerLink(name, reference.digest));
      if (canonical && canonical !== reference.digest) mark(canonical);
    }
  }
  for await (const { named } of linksBelow(driver, signaturesRoot(name, digest))) mark(named);
}

async function reportTornLayer(
  driver: StorageDriver,
  name: RepositoryName,
  named: Digest,
  marks: Marks,
): Promise<void> {
  const reason = `${name}: the link of blob ${named} is damaged`;
  if (await ifFound(driver.stat(blobData(named)))) {
    marks.problem(reason);
    marks.blob(named);
  } else {
    marks.keepEverything(`${reason}, and what it stood for is unknown; nothing is deleted`);
  }
}

/** Every link `<alg>/<hex>/link` below a root. Directories whose link was deleted are passed over. */
export async function* linksBelow(driver: StorageDriver, root: string): AsyncGenerator<Link> {
  for await (const algorithm of driver.list(root)) {
    for await (const hex of driver.list(`${root}/${algorithm}`)) {
      const named = `${algorithm}:${hex}`;
      if (!isDigest(named)) continue;
      const path = `${root}/${algorithm}/${hexOf(named)}/link`;
      const bytes = await ifFound(driver.get(path));
      if (bytes) yield { named, target: digestIn(bytes), path };
    }
  }
}

async function readLink(driver: StorageDriver, path: string): Promise<Digest | undefined> {
  return digestIn(await ifFound(driver.get(path)));
}

function digestIn(bytes: Buffer | undefined): Digest | undefined {
  const text = bytes?.toString('latin1').trim();
  return text !== undefined && isDigest(text) ? text : undefined;
}

async function isFresh(
  driver: StorageDriver,
  path: string,
  { keepAfter }: MarkOptions,
): Promise<boolean> {
  const info = await ifFound(driver.stat(path));
  return info !== undefined && info.modified > keepAfter;
}
