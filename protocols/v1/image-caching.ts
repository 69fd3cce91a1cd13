import type { Context } from 'koa';
import { digestOf } from '../../storage/digest.ts';
import type { V1Image } from '../../storage/v1-images.ts';
import { matchesEtag, sendEmpty } from '../http.ts';
import type { Registry } from '../registry.ts';

const YEAR_S = 31_536_000;
/** An image never changes, so it never did. */
const LAST_MODIFIED = new Date(0);

/**
 * Answers 304 when the client has this already, and gives whether it did. Call it only for an image that was found
 * and may be read (v1.md B9).
 */
export function notModified(ctx: Context, registry: Registry, etag: string): boolean {
  if (!isFresh(ctx, etag)) return false;
  allowCaching(ctx, registry, etag);
  ctx.remove('Last-Modified');
  sendEmpty(ctx, 304);
  return true;
}

/** Says that the answer may be kept for a year, by everybody where everybody may read (v1.md 1.4). */
export function allowCaching(ctx: Context, registry: Registry, etag: string): void {
  ctx.set({
    ETag: `"${etag}"`,
    'Cache-Control': `${registry.access.accounts ? 'private' : 'public'}, max-age=${YEAR_S}`,
    Expires: new Date(Date.now() + YEAR_S * 1000).toUTCString(),
    'Last-Modified': LAST_MODIFIED.toUTCString(),
  });
}

/** RFC 9110 section 13.2.2: If-None-Match decides where it is sent; a date that is none counts as not sent. */
function isFresh(ctx: Context, etag: string): boolean {
  const ifNoneMatch = ctx.get('if-none-match');
  if (ifNoneMatch !== '') return matchesEtag(ifNoneMatch, etag);
  const since = Date.parse(ctx.get('if-modified-since'));
  return !Number.isNaN(since) && since >= LAST_MODIFIED.getTime();
}

/** The payload sum covers JSON and layer of an image; a virtual image has none. */
export function jsonEtag(image: V1Image): string {
  return payloadSum(image) ?? digestOf(image.json);
}

export function layerEtag(image: V1Image): string {
  return payloadSum(image) ?? image.layer.blob ?? `${image.id}-tar`;
}

function payloadSum({ checksums }: V1Image): string | undefined {
  return checksums.find((sum) => sum.startsWith('sha256:'));
}
