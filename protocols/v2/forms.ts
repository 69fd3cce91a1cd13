import { platformOfUserAgent } from '../../storage/bridge/platform.ts';
import { hasCode } from '../../storage/errors.ts';
import type { Manifest } from '../../storage/manifest.ts';
import {
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../storage/media-types.ts';
import type { Tag } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import { type Registry, registryError } from '../registry.ts';
import type { Accept } from './accept.ts';

/** A tagged manifest and who asks for it. */
export interface FormRequest {
  repository: Repository;
  tag: Tag;
  stored: Manifest;
  accept: Accept;
  userAgent: string;
}

/** docker 1.6-1.9 send no Accept and read schema 1 only (v1-clients.md). */
const SCHEMA1_ENGINE = /^docker\/1\.[6-9][.\-+ ]/;

/**
 * The form of a tagged image that the client can read (v2.md 1.8, bridge.md 4.7): as stored where it takes that, else
 * another form of the same image that is stored or can be made, or the child of an index for clients before indexes.
 * Throws MANIFEST_UNKNOWN or MANIFEST_INVALID that says what is stored.
 */
export async function chooseForm(registry: Registry, request: FormRequest): Promise<Manifest> {
  const { stored, accept } = request;
  const { mediaType } = stored.descriptor;
  if (stored.kind === 'schema1') return formOfSchema1(registry, request);
  if (accept.names(mediaType) || (accept.wildcard && accept.takes(mediaType))) return stored;
  if (stored.kind === 'index') return formOfIndex(registry, request);
  if (accept.names(mediaType === DOCKER_MANIFEST ? OCI_MANIFEST : DOCKER_MANIFEST)) {
    const other = await otherForm(registry, request);
    if (other) return other;
  }
  if (wantsSchema1(request)) {
    const made = await makeSchema1(registry, request, stored);
    if (made) return made;
  }
  return readable(stored, accept);
}

/**
 * A manifest as it is stored. The OCI types are refused to a client that names only others, as distribution does;
 * docker's own types go to anybody (v2.md 1.8). Throws MANIFEST_UNKNOWN.
 */
function readable(stored: Manifest, accept: Accept): Manifest {
  const { mediaType } = stored.descriptor;
  if (accept.takes(mediaType)) return stored;
  if (mediaType === OCI_MANIFEST) throw unreadable('OCI manifest', 'OCI manifests');
  if (mediaType === OCI_INDEX) throw unreadable('OCI index', 'OCI indexes');
  return stored;
}

/** A manifest by digest; one of schema 1 goes out in its signed form. */
export async function formByDigest(
  registry: Registry,
  stored: Manifest,
  accept: Accept,
): Promise<Manifest> {
  const { schema1 } = registry.content;
  if (stored.kind === 'schema1') return schema1 ? schema1.document(stored) : stored;
  return readable(stored, accept);
}

async function formOfIndex(registry: Registry, request: FormRequest): Promise<Manifest> {
  const { repository, stored, accept } = request;
  const isList = stored.descriptor.mediaType === DOCKER_MANIFEST_LIST;
  const child = isList || wantsSchema1(request) ? await visibleChild(registry, request) : undefined;
  if (isList && accept.names(DOCKER_MANIFEST)) {
    if (child) return child;
    throw registryError(
      'MANIFEST_UNKNOWN',
      'manifest list found, but it has no linux/amd64 image, and accept header does not support lists',
    );
  }
  if (child && wantsSchema1(request)) {
    const made = await makeSchema1(registry, { ...request, repository }, child);
    if (made) return made;
  }
  if (!isList || accept.takes(stored.descriptor.mediaType)) return readable(stored, accept);
  throw registryError('MANIFEST_INVALID', 'Schema 2 manifest not supported by client');
}

/** Schema 1 that was pushed goes to those who ask for it; everyone else gets the image lifted (bridge.md 6.1). */
async function formOfSchema1(registry: Registry, request: FormRequest): Promise<Manifest> {
  const { repository, stored, accept } = request;
  const { schema1 } = registry.content;
  if (!schema1) return stored;
  if (namesSchema1(accept) || accept.absent) return schema1.document(stored);
  const lifted = await schema1.lifted(repository, stored);
  if ('reason' in lifted) return schema1.document(stored);
  const ociOnly = accept.names(OCI_MANIFEST) && !accept.names(DOCKER_MANIFEST) && !accept.wildcard;
  return ociOnly ? lifted.oci : lifted.schema2;
}

/** The other form of an image that the bridge made: OCI's beside docker's, or the other way round. */
async function otherForm(
  registry: Registry,
  { repository, tag, stored }: FormRequest,
): Promise<Manifest | undefined> {
  const { lifting } = registry.content;
  const known = await lifting.otherForm(repository, stored);
  if (known) return known;
  const made = await repository.v1.forms(tag);
  return made && 'schema2' in made ? lifting.otherForm(repository, stored) : undefined;
}

function namesSchema1(accept: Accept): boolean {
  return accept.names(DOCKER_SCHEMA1_SIGNED) || accept.names(DOCKER_SCHEMA1);
}

/** Docker's own types become schema 1 for whoever names nothing better, as distribution 2 does; OCI for old engines. */
function wantsSchema1({ stored, accept, userAgent }: FormRequest): boolean {
  if (namesSchema1(accept)) return true;
  const { mediaType } = stored.descriptor;
  const isDocker = mediaType === DOCKER_MANIFEST || mediaType === DOCKER_MANIFEST_LIST;
  if (accept.absent) return isDocker || SCHEMA1_ENGINE.test(userAgent);
  return isDocker && accept.names('application/json') && accept.takes(mediaType);
}

async function makeSchema1(
  registry: Registry,
  { repository, tag }: FormRequest,
  manifest: Manifest,
): Promise<Manifest | undefined> {
  try {
    return await registry.content.schema1?.make(repository, tag, manifest);
  } catch (error) {
    // A disk that takes nothing is no reason to refuse a pull of what is stored.
    if (hasCode(error, 'STORAGE_FULL') || hasCode(error, 'STORAGE_UNWRITABLE')) return undefined;
    throw error;
  }
}

/** The image of an index for a client that cannot read indexes. */
async function visibleChild(
  registry: Registry,
  { repository, stored, userAgent }: FormRequest,
): Promise<Manifest | undefined> {
  const platform = platformOfUserAgent(userAgent);
  return registry.content.lowering.pick(repository, stored, platform);
}

function unreadable(one: string, many: string) {
  return registryError(
    'MANIFEST_UNKNOWN',
    `${one} found, but accept header does not support ${many}`,
  );
}
