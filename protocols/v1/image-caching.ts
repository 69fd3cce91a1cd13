import type { IncomingHttpHeaders } from 'node:http';
import { digestOf } from '../../storage/digest.ts';
import type { V1Image } from '../../storage/v1-images.ts';
import type { Answer, Incoming } from '../answer.ts';
import { matchesEtag } from '../http.ts';
import type { Registry } from '../registry.ts';

const YEAR_S = 31_536_000;
const PUBLIC = `public, max-age=${YEAR_S}`;
const PRIVATE = `private, max-age=${YEAR_S}`;
/** An image never changes, so it never did. */
const LAST_MODIFIED = new Date(0).toUTCString();

/**
 * 304 when the client has this already. Call it only for an image that was found and may be read (v1.md B9).
 */
export function notModified(
  { req }: Incoming,
  registry: Registry,
  etag: string,
): Answer | undefined {
  if (!isFresh(req.headers, etag)) return undefined;
  return { status: 304, headers: cachedForYears(registry, etag) };
}

/** Headers that let everybody keep the answer for a year, where everybody may read (v1.md 1.4). */
export function cachingHeaders(registry: Registry, etag: string): string[] {
  const headers = cachedForYears(registry, etag);
  headers.push('Last-Modified', LAST_MODIFIED);
  return headers;
}

function cachedForYears({ access }: Registry, etag: string): string[] {
  return [
    'ETag',
    `"${etag}"`,
    'Cache-Control',
    access.accounts ? PRIVATE : PUBLIC,
    'Expires',
    inAYear(),
  ];
}

let second = 0;
let expiry = '';

/** Made once a second. */
function inAYear(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    expiry = new Date((now + YEAR_S) * 1000).toUTCString();
  }
  return expiry;
}

/** RFC 9110 section 13.2.2: If-None-Match decides where it is sent; a date that is none counts as not sent. */
function isFresh(headers: IncomingHttpHeaders, etag: string): boolean {
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined && ifNoneMatch !== '') return matchesEtag(ifNoneMatch, etag);
  const ifModifiedSince = headers['if-modified-since'];
  if (ifModifiedSince === undefined) return false;
  const since = Date.parse(ifModifiedSince);
  return !Number.isNaN(since) && since >= 0;
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
