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
 * child of a manifest list for clients before lists. Throws MANIFEST_UNKNOWN that says what is stored.
 */
export async function chooseForm(
  _registry: Registry,
  repository: Repository,
  _tag: Tag,
  stored: Manifest,
  accept: Accept,
): Promise<Manifest> {
  const { mediaType } = stored.descriptor;
  if (accept.takes(mediaType)) return stored;
  if (mediaType === DOCKER_MANIFEST_LIST && accept.names(DOCKER_MANIFEST)) {
    const child = await defaultChild(repository, stored);
    if (child) return child;
  }
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
