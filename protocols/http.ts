import type { IncomingMessage } from 'node:http';
import { type ParsedUrlQuery, parse } from 'node:querystring';
import type { Context } from 'koa';
import type { BlobStore } from '../storage/blobs.ts';
import type { Digest } from '../storage/digest.ts';
import type { ByteRange } from '../storage/driver.ts';
import type { BodySource, Incoming } from './answer.ts';
import { registryError, type UrlPolicy } from './registry.ts';

/** Sends JSON with an exact type and length; both protocols compare the type as a whole. */
export function sendJson(
  ctx: Context,
  status: number,
  value: unknown,
  type = 'application/json',
): void {
  ctx.status = status;
  ctx.set('Content-Type', type);
  ctx.body = jsonBytes(value);
}

/** JSON as both servers before us wrote it, with a line end. */
export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** The body of an answer that is a blob, or a range of it: from memory when it is small. */
export async function blobBody(
  blobs: BlobStore,
  digest: Digest,
  size: number,
  range: ByteRange | undefined,
): Promise<Buffer | BodySource> {
  const { start, end } = range ?? { start: 0, end: size - 1 };
  if (blobs.isSmall(size)) {
    const cached = blobs.get(digest);
    const bytes = cached instanceof Promise ? await cached : cached;
    if (bytes?.length === size) return range ? bytes.subarray(start, end + 1) : bytes;
  }
  return (out, begin) => blobs.send(digest, { start, end }, out, begin);
}

/** Answers without a body: a status, and a length of zero where Koa would send a text. */
export function sendEmpty(ctx: Context, status: number): void {
  ctx.status = status;
  if (status === 204) ctx.body = null;
  else ctx.body = '';
  ctx.remove('Content-Type');
}

/**
 * The whole body, as it came. Throws TOO_LARGE above `limit` bytes, and REQUEST_INVALID when it breaks off.
 */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > limit) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // A refusal leaves the connection whole, so that the client can read it.
    const body: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
    for await (const chunk of body) {
      size += chunk.length;
      if (size > limit) throw tooLarge(limit);
      chunks.push(chunk);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    throw registryError('REQUEST_INVALID', 'the request ended before its body was complete', {
      cause: error,
    });
  }
  return Buffer.concat(chunks, size);
}

function tooLarge(limit: number) {
  return registryError('TOO_LARGE', `the body is larger than the ${limit} bytes allowed here`, {
    detail: { limit },
  });
}

export type RangeDecision = ByteRange | 'whole' | 'unsatisfiable';

/**
 * What a Range header asks of content of `size` bytes (RFC 9110 section 14). An end past the last byte is cut back,
 * since old engines name the size as the end. Several ranges are answered with the whole.
 */
export function decideRange(header: string | undefined, size: number): RangeDecision {
  if (header === undefined) return 'whole';
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (!match) return header.includes(',') ? 'whole' : 'unsatisfiable';
  const [, first = '', last = ''] = match;
  if (first === '') {
    const suffix = Number(last);
    if (last === '' || suffix === 0) return 'unsatisfiable';
    return size === 0 ? 'unsatisfiable' : { start: Math.max(size - suffix, 0), end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start >= size || end < start ? 'unsatisfiable' : { start, end };
}

/** Whether an If-None-Match or If-Match list names this entity tag (RFC 9110 section 8.8.3; bare digests count). */
export function matchesEtag(header: string, etag: string): boolean {
  if (header.trim() === '*') return true;
  return header.split(',').some((item) => {
    const value = item
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
    return value === etag;
  });
}

/** Address of the client, as far as proxies tell it; of whom to believe that is decided before (`distrustOthers`). */
export function clientAddress(request: IncomingMessage): string {
  const forwarded = request.headers['x-forwarded-for'];
  return (forwarded && firstOf(forwarded)) || (request.socket.remoteAddress ?? '');
}

/** The address that the client used to reach us: what proxies say of it, else the Host header (v2.md 1.2). */
export function originOf(request: IncomingMessage): { scheme: string; host: string } {
  const { headers } = request;
  const tls = 'encrypted' in request.socket && request.socket.encrypted === true;
  const forwarded = parseForwarded(single(headers.forwarded));
  const scheme =
    forwarded.proto ?? firstOf(headers['x-forwarded-proto']) ?? (tls ? 'https' : 'http');
  const host = forwarded.host ?? firstOf(headers['x-forwarded-host']) ?? headers.host ?? '';
  return { scheme: /^https?$/i.test(scheme) ? scheme.toLowerCase() : 'http', host };
}

function parseForwarded(header: string | undefined): { proto?: string; host?: string } {
  if (!header) return {};
  const fields: Record<string, string> = {};
  for (const pair of (header.split(',')[0] ?? '').split(';')) {
    const [key = '', value = ''] = pair.trim().split('=');
    fields[key.toLowerCase()] = value.replace(/^"(.*)"$/, '$1');
  }
  return {
    ...(fields.proto && { proto: fields.proto }),
    ...(fields.host && { host: fields.host }),
  };
}

function firstOf(header: string | string[] | undefined): string | undefined {
  return single(header)?.split(',')[0]?.trim() || undefined;
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

/** The address of one of our paths, as a Location header gives it. */
export function urlFor(request: IncomingMessage, policy: UrlPolicy, path: string): string {
  if (policy.host) return `${baseOf(policy.host, policy.prefix)}${path}`;
  if (policy.relative) return `${policy.prefix}${path}`;
  const { scheme, host } = originOf(request);
  if (!/^[A-Za-z0-9.:[\]_-]+$/.test(host)) return `${policy.prefix}${path}`;
  return `${scheme}://${host}${policy.prefix}${path}`;
}

/** An operator who runs behind a prefix may write it into the host as well, or leave it out. */
function baseOf(host: string, prefix: string): string {
  const base = host.replace(/\/+$/, '');
  return /^https?:\/\/[^/]+$/i.test(base) ? `${base}${prefix}` : base;
}

/** A Link header to the next page (OCI distribution-spec "Listing Tags"): path-relative, `last` before `n`. */
export function nextLink(policy: UrlPolicy, path: string, query: [string, string][]): string {
  const text = query.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&');
  return `<${policy.prefix}${path}?${text}>; rel="next"`;
}

/** The last value of a query parameter, since a repeated one is a mistake of the client. */
export function queryValue({ req }: Pick<Incoming, 'req'>, name: string): string | undefined {
  const value = queryOf(req)[name];
  return Array.isArray(value) ? value[value.length - 1] : value;
}

/** Every value of a query parameter. */
export function queryValues({ req }: Pick<Incoming, 'req'>, name: string): string[] {
  const value = queryOf(req)[name];
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

function queryOf({ url = '' }: IncomingMessage): ParsedUrlQuery {
  const at = url.indexOf('?');
  return parse(at < 0 ? '' : url.slice(at + 1));
}
