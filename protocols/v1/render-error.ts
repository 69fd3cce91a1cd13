import type { IncomingMessage } from 'node:http';
import type { RegistryError } from '../../storage/errors.ts';
import type { Answer } from '../answer.ts';
import { type ErrorCode, refusalHeaders } from '../registry.ts';
import { legacyJson, NOT_CACHED } from './json.ts';
import { hasUnreadBody, lingering } from './lingering.ts';

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

/** An error in the form of docker-registry, `{"error": "…"}`, so that the client gets to see it. */
export function renderError(request: IncomingMessage, error: RegistryError): Answer {
  const status = STATUS[error.code as ErrorCode] ?? 500;
  const message = status === 401 ? 'Requires authorization' : error.message;
  const bytes = Buffer.from(legacyJson({ error: message }));
  const challenge = status === 401 && !isChallenge(error) ? ['WWW-Authenticate', 'Token'] : [];
  return {
    status,
    headers: [
      ...NOT_CACHED,
      ...challenge,
      ...refusalHeaders(error),
      'Content-Type',
      'application/json',
    ],
    length: bytes.length,
    body: hasUnreadBody(request) ? lingering(request, bytes) : bytes,
  };
}

function isChallenge(error: RegistryError): boolean {
  return refusalHeaders(error).some((each) => each.toLowerCase() === 'www-authenticate');
}
