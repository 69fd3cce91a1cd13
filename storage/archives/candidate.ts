import { storageError } from '../errors.ts';
import type { RepositoryName, Tag } from '../names.ts';
import type { Repository } from '../repository.ts';
import type { ImageName } from './image-reference.ts';

/** What an import stored. */
export interface StoredImage {
  /** Of the manifest; undefined for a V1 image that has no V2 form. */
  digest?: string;
  /** Of the V1 image, where the archive held V1 images. */
  imageId?: string;
}

/** An image that an archive holds. */
export interface Candidate {
  /** How the archive tells it apart from others: a digest, an ID. */
  label: string;
  names: ImageName[];
  /** Checks it and stores it under these tags. Throws IMAGE_INVALID that says what is wrong with it. */
  store(repository: Repository, tags: readonly Tag[]): Promise<StoredImage>;
}

/** One image and the name that it gets. */
export interface Target {
  candidate: Candidate;
  repository: RepositoryName;
  /** Empty for what only belongs to another image of the archive. */
  tags: Tag[];
}

/** Under which names the images of an archive are to be stored. Throws IMAGE_INVALID when that isn't clear. */
export function chooseTargets(
  candidates: readonly Candidate[],
  wanted: { repository?: RepositoryName; tag?: Tag },
): Target[] {
  if (candidates.length === 0) throw invalid('the archive holds no image');
  const { repository, tag } = wanted;
  return repository === undefined
    ? ownNames(candidates)
    : givenName(candidates, { repository, ...(tag !== undefined && { tag }) });
}

function ownNames(candidates: readonly Candidate[]): Target[] {
  const targets: Target[] = [];
  const nameless: Candidate[] = [];
  for (const candidate of candidates) {
    const byRepository = new Map<RepositoryName, Tag[]>();
    for (const { repository, tag } of candidate.names) {
      if (repository === undefined || tag === undefined) continue;
      byRepository.set(repository, [...(byRepository.get(repository) ?? []), tag]);
    }
    for (const [repository, tags] of byRepository) targets.push({ candidate, repository, tags });
    if (byRepository.size === 0) nameless.push(candidate);
  }
  const repositories = new Set(targets.map(({ repository }) => repository));
  const [only] = repositories;
  const tagsOnly = nameless.some(({ names }) => names.length > 0);
  if (nameless.length > 0 && (only === undefined || repositories.size > 1 || tagsOnly)) {
    const labels = nameless.map(({ label }) => label).join(', ');
    throw invalid(`the archive does not name a repository for ${labels}; give NAME:TAG`);
  }
  const carried = nameless.map((candidate) => ({
    candidate,
    repository: only as RepositoryName,
    tags: [],
  }));
  return [...carried, ...targets];
}

function givenName(
  candidates: readonly Candidate[],
  wanted: { repository: RepositoryName; tag?: Tag },
): Target[] {
  const { repository, tag } = wanted;
  const named = candidates.filter(({ names }) => names.length > 0);
  const [single] = named.length === 0 && candidates.length === 1 ? candidates : named;
  const others = candidates.filter((each) => !named.includes(each) && each !== single);
  const carried = others.map((candidate) => ({ candidate, repository, tags: [] }));
  if (single && named.length <= 1) {
    const own = [...new Set(single.names.flatMap((name) => name.tag ?? []))];
    const tags = tag !== undefined ? [tag] : own.length > 0 ? own : ['latest' as Tag];
    return [...carried, { candidate: single, repository, tags }];
  }
  const targets = named.flatMap((candidate): Target[] => {
    const tags = candidate.names.filter(
      (name) =>
        (name.repository === undefined || name.repository === repository) &&
        (tag === undefined || name.tag === tag),
    );
    const own = tags.flatMap((name) => name.tag ?? []);
    return own.length > 0 ? [{ candidate, repository, tags: [...new Set(own)] }] : [];
  });
  if (targets.length > 0) return [...carried, ...targets];
  throw invalid(
    `the archive holds several images, and none is ${repository}${tag === undefined ? '' : `:${tag}`}: ${listOf(candidates)}`,
  );
}

function listOf(candidates: readonly Candidate[]): string {
  const names = candidates.flatMap(({ label, names: all }) =>
    all.length === 0 ? [label] : all.map((each) => `${each.repository ?? ''}:${each.tag ?? ''}`),
  );
  return names.slice(0, 50).join(', ');
}

function invalid(message: string) {
  return storageError('IMAGE_INVALID', message);
}
