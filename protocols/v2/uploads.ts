import type Router from '@koa/router';
import type { Context } from 'koa';
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  digestOf,
  isAlgorithm,
  isDigest,
  parseDigest,
} from '../../storage/digest.ts';
import { hasCode } from '../../storage/errors.ts';
import {
  isRepositoryName,
  parseUploadId,
  type RepositoryName,
  type UploadId,
} from '../../storage/names.ts';
import type { LinkedBlob } from '../../storage/repository-blobs.ts';
import { queryValue, sendEmpty, urlFor } from '../http.ts';
import { ChallengeError, type Registry, registryError } from '../registry.ts';
import { authorize, enter, type RepositoryRequest, report } from './request.ts';

const OCTETS = 'application/octet-stream';

/** The upload endpoints (end-4 to end-6, end-11, end-13, end-14; v2.md 1.12). */
export function uploadRoutes(router: Router, registry: Registry): void {
  router.post('/v2/*name/blobs/uploads/', (ctx) => startUpload(ctx, registry));
  router.post('/v2/*name/blobs/uploads', (ctx) => startUpload(ctx, registry));
  router.get('/v2/*name/blobs/uploads/', () => {
    throw registryError('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  });
  router.get('/v2/*name/blobs/uploads/:id', (ctx) => uploadStatus(ctx, registry));
  router.patch('/v2/*name/blobs/uploads/:id', (ctx) => uploadPart(ctx, registry));
  router.put('/v2/*name/blobs/uploads/:id', (ctx) => finishUpload(ctx, registry));
  router.delete('/v2/*name/blobs/uploads/:id', (ctx) => cancelUpload(ctx, registry));
}

async function startUpload(ctx: Context, registry: Registry): Promise<void> {
  const request = await enterWithSource(ctx, registry);
  const mount = queryValue(ctx, 'mount');
  if (mount !== undefined && (await mountBlob(ctx, registry, request, mount))) return;
  const { uploads } = request.repository;
  const text = queryValue(ctx, 'digest');
  const digest = text === undefined ? undefined : parseDigest(text);
  if (digest !== undefined && (hasBody(ctx) || isOfNothing(digest))) {
    const blob = await uploads.receive(digest, ctx.req);
    return sendStored(ctx, registry, request, blob.digest, blob.size);
  }
  const id = await uploads.start(wantedAlgorithm(ctx) ?? (digest && algorithmOf(digest)));
  sendState(ctx, registry, request, id, 0, 202);
}

/**
 * A mount needs push here and pull at its source. Only the first is demanded, since a mount that is not allowed
 * becomes an upload; but a client that has to log in anyway is told of both, so that its token covers both.
 */
async function enterWithSource(ctx: Context, registry: Registry): Promise<RepositoryRequest> {
  try {
    return await enter(ctx, registry, ['pull', 'push']);
  } catch (error) {
    const from = queryValue(ctx, 'from');
    const name = String(ctx.params.name);
    if (!(error instanceof ChallengeError) || from === undefined) throw error;
    if (isRepositoryName(from) && from !== name && queryValue(ctx, 'mount') !== undefined) {
      await authorize(ctx, registry, [
        { type: 'repository', name, action: 'pull' },
        { type: 'repository', name, action: 'push' },
        { type: 'repository', name: from, action: 'pull' },
      ]);
    }
    throw error;
  }
}

function hasBody(ctx: Context): boolean {
  return ctx.get('transfer-encoding') !== '' || Number(ctx.get('content-length')) > 0;
}

function isOfNothing(digest: Digest): boolean {
  return digest === digestOf('', algorithmOf(digest));
}

/** `?digest-algorithm=` (spec main, end-4c) lets the registry hash with the right algorithm from the start. */
function wantedAlgorithm(ctx: Context): DigestAlgorithm | undefined {
  const text = queryValue(ctx, 'digest-algorithm');
  if (text === undefined) return undefined;
  if (isAlgorithm(text)) return text;
  throw registryError('DIGEST_INVALID', 'digest-algorithm must be sha256 or sha512', {
    detail: text.slice(0, 100),
  });
}

/** End-11. False where the mount is not possible and an ordinary upload begins instead. */
async function mountBlob(
  ctx: Context,
  registry: Registry,
  request: RepositoryRequest,
  mount: string,
): Promise<boolean> {
  if (!isDigest(mount)) return false;
  const { repository, session } = request;
  const from = queryValue(ctx, 'from');
  let blob: LinkedBlob | undefined;
  if (from === undefined) {
    blob = await mountFromAnywhere(registry, request, mount);
  } else if (
    isRepositoryName(from) &&
    session.may({ type: 'repository', name: from, action: 'pull' })
  ) {
    blob = await repository.mount(mount, registry.content.repository(from));
  }
  if (!blob) return false;
  const target = { mediaType: OCTETS, digest: mount, size: blob.size };
  report(ctx, registry, request, 'mount', target, from ? { fromRepository: from } : {});
  ctx.set('Location', urlFor(ctx.req, registry.urls, `/v2/${repository.name}/blobs/${mount}`));
  ctx.set('Docker-Content-Digest', mount);
  sendEmpty(ctx, 201);
  return true;
}

/** A mount without `from` must not tell a session of blobs that it could not pull from any repository. */
async function mountFromAnywhere(
  registry: Registry,
  { repository, session }: RepositoryRequest,
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

async function uploadStatus(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['pull']);
  const id = parseUploadId(String(ctx.params.id));
  sendState(ctx, registry, request, id, await request.repository.uploads.offset(id), 204);
}

async function uploadPart(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['pull', 'push']);
  const id = parseUploadId(String(ctx.params.id));
  const size = await withState(ctx, registry, request, id, () =>
    request.repository.uploads.append(id, ctx.req, contentRange(ctx)),
  );
  sendState(ctx, registry, request, id, size, 202);
}

async function finishUpload(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['pull', 'push']);
  const id = parseUploadId(String(ctx.params.id));
  const text = queryValue(ctx, 'digest');
  if (text === undefined) {
    throw registryError('DIGEST_INVALID', 'digest missing: add ?digest=<algorithm>:<hex>');
  }
  const digest = parseDigest(text);
  const last = hasBody(ctx) ? ctx.req : undefined;
  const blob = await withState(ctx, registry, request, id, () =>
    request.repository.uploads.finish(id, digest, last, contentRange(ctx)),
  );
  sendStored(ctx, registry, request, blob.digest, blob.size);
}

async function cancelUpload(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['pull', 'push']);
  const id = parseUploadId(String(ctx.params.id));
  await request.repository.uploads.cancel(id);
  ctx.set('Docker-Upload-UUID', id);
  sendEmpty(ctx, 204);
}

/**
 * Where this part begins, by its Content-Range (`<start>-<end>`, both inclusive; `bytes a-b/n` is understood too).
 * Throws RANGE_INVALID or SIZE_INVALID.
 */
function contentRange(ctx: Context): number | undefined {
  const header = ctx.get('content-range');
  if (header === '') return undefined;
  const match = /^(?:bytes[ =])?(\d+)-(\d+)(?:\/(?:\d+|\*))?$/.exec(header.trim());
  if (!match) {
    throw registryError('RANGE_INVALID', 'Content-Range must be <start>-<end>, both inclusive');
  }
  const start = Number(match[1]);
  const end = Number(match[2]);
  const length = ctx.get('content-length');
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
  ctx: Context,
  registry: Registry,
  request: RepositoryRequest,
  id: UploadId,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (RESUMABLE.some((code) => hasCode(error, code))) {
      setState(ctx, registry, request, id, await request.repository.uploads.offset(id));
    }
    throw error;
  }
}

function sendState(
  ctx: Context,
  registry: Registry,
  request: RepositoryRequest,
  id: UploadId,
  size: number,
  status: number,
): void {
  setState(ctx, registry, request, id, size);
  sendEmpty(ctx, status);
}

function setState(
  ctx: Context,
  registry: Registry,
  { repository }: RepositoryRequest,
  id: UploadId,
  size: number,
): void {
  const path = `/v2/${repository.name}/blobs/uploads/${id}`;
  ctx.set('Location', urlFor(ctx.req, registry.urls, path));
  // Go's client fails without the header, and on an end before the start: nothing received is 0-0 as well.
  ctx.set('Range', `0-${Math.max(size - 1, 0)}`);
  ctx.set('Docker-Upload-UUID', id);
}

function sendStored(
  ctx: Context,
  registry: Registry,
  request: RepositoryRequest,
  digest: Digest,
  size: number,
): void {
  report(ctx, registry, request, 'push', { mediaType: OCTETS, digest, size });
  const path = `/v2/${request.repository.name}/blobs/${digest}`;
  ctx.set('Location', urlFor(ctx.req, registry.urls, path));
  ctx.set('Docker-Content-Digest', digest);
  sendEmpty(ctx, 201);
}
