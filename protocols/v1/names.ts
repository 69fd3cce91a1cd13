import type { ContentStore } from '../../storage/content-store.ts';
import { parseRepositoryName, type RepositoryName } from '../../storage/names.ts';

const LONG_FORM = 'library/';

/**
 * The repository that a V1 path means. Engines write `ubuntu` and `library/ubuntu` in one and the same pull, so the
 * long form means the stored `ubuntu`, unless only a `library/ubuntu` is stored. V2 has no such alias.
 * Throws NAME_INVALID.
 */
export async function repositoryOf(content: ContentStore, path: string): Promise<RepositoryName> {
  const name = parseRepositoryName(path.replace(/\/$/, ''));
  const short = shortForm(name);
  if (short === undefined || (await content.repository(short).v1.exists())) return short ?? name;
  return (await content.repository(name).v1.exists()) ? name : short;
}

/** The name as docker-registry wrote it, always with a namespace. */
export function longForm(name: RepositoryName): string {
  return name.includes('/') ? name : `${LONG_FORM}${name}`;
}

/** `ubuntu` for `library/ubuntu`; undefined for every other name. */
function shortForm(name: RepositoryName): RepositoryName | undefined {
  if (!name.startsWith(LONG_FORM)) return undefined;
  const rest = name.slice(LONG_FORM.length);
  return rest.includes('/') ? undefined : (rest as RepositoryName);
}
