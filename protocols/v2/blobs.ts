import type Router from '@koa/router';
import type { Context } from 'koa';
import { type Digest, parseDigest } from '../../storage/digest.ts';
import { decideRange, matchesEtag, sendBlob, sendEmpty } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { enter, report } from './request.ts';

/** Blobs never change, so a client may keep one for a year. */
const CACHE_CONTROL = 'max-age=31536000';

export function blobRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/blobs/:digest', (ctx) => getBlob(ctx, registry));
  router.delete('/v2/*name/blobs/:digest', (ctx) => deleteBlob(ctx, registry));
}

/** `GET` and `HEAD /v2/<name>/blobs/<digest>` (end-2), with ranges and conditions (v2.md 1.11). */
export async function getBlob(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['pull']);
  const digest = parseDigest(String(ctx.params.digest));
  const found = request.repository.blobs.find(digest);
  const blob = (found instanceof Promise ? await found : found) ?? unknownBlob(digest);
  const { canonical, size } = blob;
  ctx.set({
    'Docker-Content-Digest': digest,
    Etag: `"${digest}"`,
    'Cache-Control': CACHE_CONTROL,
    'Accept-Ranges': 'bytes',
  });
  const ifMatch = ctx.get('if-match');
  if (ifMatch && !matchesEtag(ifMatch, digest)) {
    throw registryError('PRECONDITION_FAILED', 'If-Match names another digest');
  }
  const ifNoneMatch = ctx.get('if-none-match');
  if (ifNoneMatch && matchesEtag(ifNoneMatch, digest)) return sendEmpty(ctx, 304);

  report(ctx, registry, request, 'pull', { mediaType: 'application/octet-stream', digest, size });
  const redirect = registry.content.blobs.redirects
    ? await registry.content.blobs.redirectUrl(canonical, ctx.method)
    : undefined;
  if (redirect) {
    ctx.status = 307;
    ctx.set('Location', redirect.href);
    return sendEmpty(ctx, 307);
  }
  const ifRange = ctx.get('if-range');
  const ranged = ifRange === '' || matchesEtag(ifRange, digest);
  const range = decideRange(ranged ? ctx.get('range') || undefined : undefined, size);
  if (range === 'unsatisfiable') {
    ctx.set('Content-Range', `bytes */${size}`);
    throw registryError('RANGE_INVALID', `the blob has ${size} bytes; the range lies outside`, {
      detail: { size },
    });
  }
  ctx.status = range === 'whole' ? 200 : 206;
  if (range !== 'whole') ctx.set('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
  await sendBlob(
    ctx,
    registry.content.blobs,
    canonical,
    size,
    range === 'whole' ? undefined : range,
  );
}

function unknownBlob(digest: Digest): never {
  throw registryError('BLOB_UNKNOWN', 'blob unknown to registry', { detail: digest });
}

/** `DELETE /v2/<name>/blobs/<digest>` (end-10): takes the blob out of this repository only. */
async function deleteBlob(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['delete']);
  const digest = parseDigest(String(ctx.params.digest));
  requireDeletion(registry);
  await request.repository.blobs.delete(digest);
  report(ctx, registry, request, 'delete', { digest });
  sendEmpty(ctx, 202);
}

/** Throws UNSUPPORTED when the operator has switched deletion off. */
export function requireDeletion(registry: Registry): void {
  if (registry.deletion) return;
  throw registryError(
    'UNSUPPORTED',
    'deletion is switched off; set storage.delete.enabled to allow it',
  );
}
