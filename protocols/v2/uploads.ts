import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  digestOf,
  isAlgorithm,
  isDigest,
  parseDigest,
} from '../../storage/digest.ts';
import { hasCode, type RegistryError } from '../../storage/errors.ts';
import type { Descriptor } from '../../storage/manifest.ts';
import {
  isRepositoryName,
  parseUploadId,
  type RepositoryName,
  type UploadId,
} from '../../storage/names.ts';
import type { LinkedBlob } from '../../storage/repository-blobs.ts';
import type { Answer, Incoming } from '../answer.ts';
import { queryValue, urlFor } from '../http.ts';
import { ChallengeError, RefusalError, type Registry, registryError } from '../registry.ts';
import {
  authorize,
  enter,
  onRepository,
  type RepositoryHandler,
  type RepositoryRequest,
  report,
  routeTo,
} from './request.ts';

const OCTETS = 'application/octet-stream';

/** The upload endpoints (end-4 to end-6, end-11, end-13, end-14; v2.md 1.12). */
export function uploadRoutes(router: Router, registry: Registry): void {
  router.post('/v2/*name/blobs/uploads/', routeTo(registry, startUpload));
  router.post('/v2/*name/blobs/uploads', routeTo(registry, startUpload));
  router.get('/v2/*name/blobs/uploads/', routeTo(registry, noUpload));
  router.get('/v2/*name/blobs/uploads/:reference', routeTo(registry, uploadStatus));
  router.patch('/v2/*name/blobs/uploads/:reference', routeTo(registry, uploadPart));
  router.put('/v2/*name/blobs/uploads/:reference', routeTo(registry, finishUpload));
  router.delete('/v2/*name/blobs/uploads/:reference', routeTo(registry, cancelUpload));
}

/** `POST /v2/<name>/blobs/uploads/`: a mount, a whole blob at once, or the beginning of an upload. */
export const startUpload: RepositoryHandler = async (incoming, registry, name) => {
  const { req } = incoming;
  const mount = queryValue(incoming, 'mount');
  const from = queryValue(incoming, 'from');
  const request = await enterWithSource(incoming, registry, name, { mount, from });
  if (mount !== undefined) {
    const mounted = await mountBlob(request, mount, from);
    if (mounted) return mounted;
  }
  const { uploads } = request.repository;
  const text = queryValue(incoming, 'digest');
  const digest = text === undefined ? undefined : parseDigest(text);
  if (digest !== undefined && (hasBody(req) || isOfNothing(digest))) {
    const blob = await uploads.receive(digest, req);
    return storedAnswer(request, blob);
  }
  const algorithm = wantedAlgorithm(queryValue(incoming, 'digest-algorithm'));
  const id = await uploads.start(algorithm ?? (digest && algorithmOf(digest)));
  return stateAnswer(request, { id, size: 0, status: 202 });
};

/** What an upload without an id is. Throws BLOB_UPLOAD_UNKNOWN. */
export const noUpload: RepositoryHandler = async () => {
  throw registryError('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
};

interface MountQuery {
  mount: string | undefined;
  from: string | undefined;
}

/**
 * A mount needs push here and pull at its source. Only the first is demanded, since a mount that is not allowed
 * becomes an upload; but a client that has to log in anyway is told of both, so that its token covers both.
 */
async function enterWithSource(
  incoming: Incoming,
  registry: Registry,
  name: string,
  { mount, from }: MountQuery,
): Promise<RepositoryRequest> {
  try {
    const actions = ['pull', 'push'] as const;
    return await enter(incoming, registry, { name, reference: '', actions });
  } catch (error) {
    if (!(error instanceof ChallengeError) || from === undefined) throw error;
    if (isRepositoryName(from) && from !== name && mount !== undefined) {
      await authorize(incoming, registry, [
        { type: 'repository', name, action: 'pull' },
        { type: 'repository', name, action: 'push' },
        { type: 'repository', name: from, action: 'pull' },
      ]);
    }
    throw error;
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return Boolean(headers['transfer-encoding']) || Number(headers['content-length']) > 0;
}

function isOfNothing(digest: Digest): boolean {
  return digest === digestOf('', algorithmOf(digest));
}

/** `?digest-algorithm=` (spec main, end-4c) lets the registry hash with the right algorithm from the start. */
function wantedAlgorithm(text: string | undefined): DigestAlgorithm | undefined {
  if (text === undefined) return undefined;
  if (isAlgorithm(text)) return text;
  throw registryError('DIGEST_INVALID', 'digest-algorithm must be sha256 or sha512', {
    detail: text.slice(0, 100),
  });
}

/** End-11. Undefined where the mount is not possible and an ordinary upload begins instead. */
async function mountBlob(
  request: RepositoryRequest,
  mount: string,
  from: string | undefined,
): Promise<Answer | undefined> {
  if (!isDigest(mount)) return undefined;
  const { registry, repository, session } = request;
  let blob: LinkedBlob | undefined;
  if (from === undefined) {
    blob = await mountFromAnywhere(request, mount);
  } else if (
    isRepositoryName(from) &&
    session.may({ type: 'repository', name: from, action: 'pull' })
  ) {
    blob = await repository.mount(mount, registry.content.repository(from));
  }
  if (!blob) return undefined;
  const target = { mediaType: OCTETS, digest: mount, size: blob.size };
  report(request, 'mount', target, from ? { fromRepository: from } : {});
  return blobAnswer(request, mount);
}

/** A mount without `from` must not tell a session of blobs that it could not pull from any repository. */
async function mountFromAnywhere(
  { registry, repository, session }: RepositoryRequest,
  digest: Digest,
): Promise<LinkedBlob | undefined> {
  const { content } = registry;
  const mountFrom = async (name: RepositoryName): Promise<LinkedBlob | undefined> =>
    session.may({ type: 'repository', name, action: 'pull' })
      ? repository.mount(digest, content.repository(name))
      : undefined;
  if ((await content.blobs.size(digest)) === undefined) return undefined;
  for (const name of await content.catalog.all()) {
    const blob = await mountFrom(name);
    if (blob) return blob;
  }
  for await (const name of content.catalog.everywhere()) {
    const blob = await mountFrom(name);
    if (blob) return blob;
  }
  return undefined;
}

/** Where an upload stands (end-13). */
export const uploadStatus = onRepository(['pull'], async (request) => {
  const id = parseUploadId(request.reference);
  const size = await request.repository.uploads.offset(id);
  return stateAnswer(request, { id, size, status: 204 });
});

/** Adds a part to an upload (end-5). */
export const uploadPart = onRepository(['pull', 'push'], async (request) => {
  const id = parseUploadId(request.reference);
  const { req } = request.incoming;
  const size = await withState(request, id, () =>
    request.repository.uploads.append(id, req, contentRange(req)),
  );
  return stateAnswer(request, { id, size, status: 202 });
});

/** Ends an upload, with its last part or its only one (end-6). */
export const finishUpload = onRepository(['pull', 'push'], async (request) => {
  const id = parseUploadId(request.reference);
  const { incoming, repository } = request;
  const { req } = incoming;
  const text = queryValue(incoming, 'digest');
  if (text === undefined) {
    throw registryError('DIGEST_INVALID', 'digest missing: add ?digest=<algorithm>:<hex>');
  }
  const digest = parseDigest(text);
  const last = hasBody(req) ? req : undefined;
  const blob = await withState(request, id, () =>
    repository.uploads.finish(id, digest, last, contentRange(req)),
  );
  return storedAnswer(request, blob);
});

/** Ends an upload and drops its bytes (end-14). */
export const cancelUpload = onRepository(['pull', 'push'], async (request) => {
  const id = parseUploadId(request.reference);
  await request.repository.uploads.cancel(id);
  return { status: 204, headers: ['Docker-Upload-UUID', id] };
});

/**
 * Where this part begins, by its Content-Range (`<start>-<end>`, both inclusive; `bytes a-b/n` is understood too).
 * Throws RANGE_INVALID or SIZE_INVALID.
 */
function contentRange({ headers }: IncomingMessage): number | undefined {
  const header = headers['content-range'] ?? '';
  if (header === '') return undefined;
  const match = /^(?:bytes[ =])?(\d+)-(\d+)(?:\/(?:\d+|\*))?$/.exec(header.trim());
  if (!match) {
    throw registryError('RANGE_INVALID', 'Content-Range must be <start>-<end>, both inclusive');
  }
  const start = Number(match[1]);
  const end = Number(match[2]);
  const length = headers['content-length'] ?? '';
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end)) {
    throw registryError('RANGE_INVALID', 'Content-Range lies beyond any blob');
  }
  if (end < start && length !== '0') {
    throw registryError('RANGE_INVALID', 'Content-Range ends before it begins');
  }
  if (length !== '' && length !== '0' && Number(length) !== end - start + 1) {
    throw registryError(
      'SIZE_INVALID',
      `Content-Range spans ${end - start + 1} bytes, Content-Length says ${length}`,
    );
  }
  return start;
}

const RESUMABLE = ['RANGE_INVALID', 'SIZE_INVALID', 'UPLOAD_BUSY'] as const;

/** A refused part leaves the upload alive, and the refusal says where it stands (OCI "Pushing a blob in chunks"). */
async function withState<T>(
  request: RepositoryRequest,
  id: UploadId,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = RESUMABLE.find((each) => hasCode(error, each));
    if (code === undefined) throw error;
    const { message, detail } = error as RegistryError;
    const size = await request.repository.uploads.offset(id);
    throw new RefusalError(code, message, stateOf(request, id, size), detail);
  }
}

function stateAnswer(
  request: RepositoryRequest,
  { id, size, status }: { id: UploadId; size: number; status: 202 | 204 },
): Answer {
  const headers = Object.entries(stateOf(request, id, size)).flat();
  return status === 204 ? { status, headers } : { status, headers, length: 0 };
}

function stateOf(
  { incoming, registry, repository }: RepositoryRequest,
  id: UploadId,
  size: number,
): Record<string, string> {
  return {
    Location: urlFor(incoming.req, registry.urls, `/v2/${repository.name}/blobs/uploads/${id}`),
    // Go's client fails without the header, and on an end before the start: nothing received is 0-0 as well.
    Range: `0-${Math.max(size - 1, 0)}`,
    'Docker-Upload-UUID': id,
  };
}

function storedAnswer(request: RepositoryRequest, blob: Descriptor): Answer {
  report(request, 'push', blob);
  return blobAnswer(request, blob.digest);
}

function blobAnswer({ incoming, registry, repository }: RepositoryRequest, digest: Digest): Answer {
  const location = urlFor(incoming.req, registry.urls, `/v2/${repository.name}/blobs/${digest}`);
  const headers = ['Location', location, 'Docker-Content-Digest', digest];
  return { status: 201, headers, length: 0 };
}
