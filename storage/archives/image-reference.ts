import { storageError } from '../errors.ts';
import {
  isRepositoryName,
  isTag,
  parseRepositoryName,
  parseTag,
  type RepositoryName,
  type Tag,
} from '../names.ts';

/** What an archive calls an image. Some say the tag only. */
export interface ImageName {
  repository?: RepositoryName;
  tag?: Tag;
}

/** `NAME[:TAG]` as typed. Throws NAME_INVALID or TAG_INVALID. */
export function parseReference(text: string): { repository: RepositoryName; tag?: Tag } {
  const colon = text.lastIndexOf(':');
  if (colon < 0 || text.includes('/', colon)) return { repository: parseRepositoryName(text) };
  const tag = parseTag(text.slice(colon + 1));
  return { repository: parseRepositoryName(text.slice(0, colon)), tag };
}

/**
 * What a name in an archive means here: the host is dropped, and docker's own `library/` with it. A bare tag, as OCI
 * layouts have it, names no repository. Throws IMAGE_INVALID for what can't be a name here.
 */
export function nameInArchive(text: string): ImageName {
  if (!text.includes('/') && !text.includes(':') && isTag(text)) return { tag: text };
  const bare = text.replace(/@.*$/, '');
  const colon = bare.indexOf(':', bare.lastIndexOf('/') + 1);
  const path = colon < 0 ? bare : bare.slice(0, colon);
  const tag = colon < 0 ? 'latest' : bare.slice(colon + 1);
  const repository = withoutLibrary(withoutHost(path));
  if (!isRepositoryName(repository) || !isTag(tag)) {
    throw storageError(
      'IMAGE_INVALID',
      `the archive names an image ${JSON.stringify(text.slice(0, 300))}; give NAME:TAG instead`,
    );
  }
  return { repository, tag };
}

/** docker's rule: a first part with a dot or a port, or `localhost`, is a host. */
function withoutHost(path: string): string {
  const slash = path.indexOf('/');
  const first = path.slice(0, slash);
  return slash > 0 && (/[.:]/.test(first) || first === 'localhost') ? path.slice(slash + 1) : path;
}

function withoutLibrary(path: string): string {
  const match = /^library\/([^/]+)$/.exec(path);
  return match?.[1] ?? path;
}

/** The name that every docker takes for an image of ours, with the registry that it would assume. */
export function canonicalName(repository: string, tag: string): string {
  return `docker.io/${repository.includes('/') ? repository : `library/${repository}`}:${tag}`;
}
