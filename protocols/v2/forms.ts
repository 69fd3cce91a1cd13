import type { Manifest } from '../../storage/manifest.ts';
import {
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../storage/media-types.ts';
import type { Tag } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import { type Registry, registryError } from '../registry.ts';
import type { Accept } from './accept.ts';

/**
 * The form of a tagged image that the client can read (v2.md 1.8): as stored where it takes that, the linux/amd64
 * child of a manifest list for clients before lists. Throws MANIFEST_UNKNOWN or MANIFEST_INVALID that says what is
 * stored.
 */
export async function chooseForm(
  _registry: Registry,
  repository: Repository,
  _tag: Tag,
  stored: Manifest,
  accept: Accept,
): Promise<Manifest> {
  const { mediaType } = stored.descriptor;
  if (accept.takes(mediaType) || mediaType !== DOCKER_MANIFEST_LIST) {
    return readable(stored, accept);
  }
  if (accept.names(DOCKER_MANIFEST)) {
    const child = await defaultChild(repository, stored);
    if (child) return child;
    throw registryError(
      'MANIFEST_UNKNOWN',
      'manifest list found, but it has no linux/amd64 image, and accept header does not support lists',
    );
  }
  throw registryError('MANIFEST_INVALID', 'Schema 2 manifest not supported by client');
}

/**
 * A manifest as it is stored. The OCI types are refused to a client that names only others, as distribution does;
 * docker's own types go to anybody (v2.md 1.8). Throws MANIFEST_UNKNOWN.
 */
export function readable(stored: Manifest, accept: Accept): Manifest {
  const { mediaType } = stored.descriptor;
  if (accept.takes(mediaType)) return stored;
  if (mediaType === OCI_MANIFEST) throw unreadable('OCI manifest', 'OCI manifests');
  if (mediaType === OCI_INDEX) throw unreadable('OCI index', 'OCI indexes');
  return stored;
}

async function defaultChild(repository: Repository, list: Manifest): Promise<Manifest | undefined> {
  const entry = list.manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  return entry && (await repository.manifests.get(entry.digest));
}

function unreadable(one: string, many: string) {
  return registryError(
    'MANIFEST_UNKNOWN',
    `${one} found, but accept header does not support ${many}`,
  );
}
