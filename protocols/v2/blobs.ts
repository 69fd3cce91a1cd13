import type { IncomingHttpHeaders } from 'node:http';
import type Router from '@koa/router';
import { type Digest, parseDigest } from '../../storage/digest.ts';
import { internalLocation } from '../accel-redirect.ts';
import { blobBody, decideRange, matchesEtag } from '../http.ts';
import { RefusalError, type Registry, registryError } from '../registry.ts';
import { onRepository, report, routeTo } from './request.ts';

/** Blobs never change, so a client may keep one for a year. */
const CACHE_CONTROL = 'max-age=31536000';
const OCTETS = 'application/octet-stream';

export function blobRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/blobs/:reference', routeTo(registry, pullBlob));
  router.delete('/v2/*name/blobs/:reference', routeTo(registry, deleteBlob));
}

/** `GET` and `HEAD /v2/<name>/blobs/<digest>` (end-2), with ranges and conditions (v2.md 1.11). */
export const pullBlob = onRepository(['pull'], async (request) => {
  const { incoming, registry } = request;
  const digest = parseDigest(request.reference);
  const { method = '', headers } = incoming.req;
  const found = request.repository.blobs.find(digest);
  const blob = (found instanceof Promise ? await found : found) ?? unknownBlob(digest);
  const { canonical, size } = blob;
  if (headers['if-match'] && !matchesEtag(headers['if-match'], digest)) {
    throw registryError('PRECONDITION_FAILED', 'If-Match names another digest');
  }
  const facts = [
    'Docker-Content-Digest',
    digest,
    'Etag',
    `"${digest}"`,
    'Cache-Control',
    CACHE_CONTROL,
    'Accept-Ranges',
    'bytes',
  ];
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch && matchesEtag(ifNoneMatch, digest)) return { status: 304, headers: facts };

  report(request, 'pull', { mediaType: OCTETS, digest, size });
  const { blobs } = registry.content;
  const elsewhere = blobs.redirects ? await blobs.redirectUrl(canonical, method) : undefined;
  if (elsewhere) return { status: 307, headers: [...facts, 'Location', elsewhere.href], length: 0 };
  const range = rangeOf(headers, digest, size);
  facts.push('Content-Type', OCTETS);
  const internal =
    method === 'GET' ? internalLocation(registry, incoming.req, canonical, size) : undefined;
  if (internal) {
    return { status: 200, headers: [...facts, 'X-Accel-Redirect', internal], length: 0 };
  }
  if (range !== undefined) {
    facts.push('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
  }
  return {
    status: range === undefined ? 200 : 206,
    headers: facts,
    length: range === undefined ? size : range.end - range.start + 1,
    ...(method === 'GET' && { body: await blobBody(blobs, canonical, size, range) }),
  };
});

/** The part that is asked for; undefined for the whole. Throws RANGE_INVALID. */
function rangeOf(headers: IncomingHttpHeaders, digest: Digest, size: number) {
  const ifRange = headers['if-range'];
  const ranged = typeof ifRange !== 'string' || ifRange === '' || matchesEtag(ifRange, digest);
  const range = decideRange(ranged ? headers.range || undefined : undefined, size);
  if (range === 'whole') return undefined;
  if (range !== 'unsatisfiable') return range;
  throw new RefusalError(
    'RANGE_INVALID',
    `the blob has ${size} bytes; the range lies outside`,
    { 'Content-Range': `bytes */${size}` },
    { size },
  );
}

function unknownBlob(digest: Digest): never {
  throw registryError('BLOB_UNKNOWN', 'blob unknown to registry', { detail: digest });
}

/** `DELETE /v2/<name>/blobs/<digest>` (end-10): takes the blob out of this repository only. */
export const deleteBlob = onRepository(['delete'], async (request) => {
  const digest = parseDigest(request.reference);
  requireDeletion(request.registry);
  await request.repository.blobs.delete(digest);
  report(request, 'delete', { digest });
  return { status: 202, headers: [], length: 0 };
});

/** Throws UNSUPPORTED when the operator has switched deletion off. */
export function requireDeletion(registry: Registry): void {
  if (registry.deletion) return;
  throw registryError(
    'UNSUPPORTED',
    'deletion is switched off; set storage.delete.enabled to allow it',
  );
}
