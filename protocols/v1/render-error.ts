import type { Context } from 'koa';
import type { RegistryError } from '../../storage/errors.ts';
import { type ErrorCode, RefusalError } from '../registry.ts';
import { sendJson } from './json.ts';
import { lingerBehind } from './lingering.ts';

/** Status of every error (v1.md 1.3 to 1.8). */
const STATUS: Record<ErrorCode, number> = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  IMAGE_EXISTS: 409,
  IMAGE_INCOMPLETE: 400,
  IMAGE_INVALID: 400,
  IMAGE_UNKNOWN: 404,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  MANIFEST_UNVERIFIED: 400,
  METHOD_NOT_ALLOWED: 405,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  NOT_FOUND: 404,
  PAGINATION_NUMBER_INVALID: 400,
  PRECONDITION_FAILED: 412,
  RANGE_INVALID: 416,
  REQUEST_INVALID: 400,
  SIZE_INVALID: 400,
  STORAGE_FULL: 507,
  STORAGE_UNWRITABLE: 503,
  TAG_INVALID: 400,
  TAG_UNKNOWN: 404,
  TOO_LARGE: 413,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNAVAILABLE: 503,
  UNKNOWN: 500,
  UNSUPPORTED: 405,
  UPLOAD_BUSY: 409,
};

/** Writes an error in the form of docker-registry, `{"error": "…"}`, so that the client gets to see it. */
export function renderError(ctx: Context, error: RegistryError): void {
  const status = STATUS[error.code as ErrorCode] ?? 500;
  if (status === 401) ctx.set('WWW-Authenticate', 'Token');
  if (error instanceof RefusalError) ctx.set(error.headers);
  for (const header of ['ETag', 'Last-Modified', 'Accept-Ranges']) ctx.remove(header);
  sendJson(ctx, status, { error: status === 401 ? 'Requires authorization' : error.message });
  lingerBehind(ctx);
}
