import type { IncomingMessage } from 'node:http';
import type { RegistryError } from '../../storage/errors.ts';
import { type Answer, answerWith } from '../answer.ts';
import { jsonBytes } from '../http.ts';
import { type ErrorCode, refusalHeaders } from '../registry.ts';

/** Status of every error that these routes can meet; anything else is the registry's own fault. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  BLOB_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  IMAGE_EXISTS: 409,
  IMAGE_INCOMPLETE: 409,
  IMAGE_INVALID: 400,
  IMAGE_UNKNOWN: 404,
  MANIFEST_BLOB_UNKNOWN: 409,
  MANIFEST_INVALID: 422,
  MANIFEST_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  NOT_FOUND: 404,
  REQUEST_INVALID: 400,
  STORAGE_FULL: 507,
  STORAGE_UNWRITABLE: 503,
  TAG_INVALID: 400,
  TAG_UNKNOWN: 404,
  TOO_LARGE: 413,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNAVAILABLE: 503,
  UNSUPPORTED: 405,
  UPLOAD_BUSY: 409,
};

/** An error as `{"error": {code, message, detail}}`. */
export function renderError(_request: IncomingMessage, error: RegistryError): Answer {
  const { code, message, detail } = error;
  const shown = { code, message, ...(detail !== undefined && { detail }) };
  const headers = [...refusalHeaders(error), 'Content-Type', 'application/json'];
  return answerWith(STATUS[code as ErrorCode] ?? 500, headers, jsonBytes({ error: shown }));
}
