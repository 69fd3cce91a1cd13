import type { IncomingMessage } from 'node:http';
import type { RegistryError } from '../../storage/errors.ts';
import { type Answer, answerWith } from '../answer.ts';
import { jsonBytes } from '../http.ts';
import { type ErrorCode, refusalHeaders } from '../registry.ts';

interface Rendering {
  status: number;
  /** The code that clients of the specification know, where ours is finer. */
  code?: string;
}

/** Status and code of every error (OCI distribution-spec "Error codes", v2.md 1.3). */
const RENDERINGS: Record<ErrorCode, Rendering> = {
  BLOB_UNKNOWN: { status: 404 },
  BLOB_UPLOAD_INVALID: { status: 400 },
  BLOB_UPLOAD_UNKNOWN: { status: 404 },
  DENIED: { status: 403 },
  DIGEST_INVALID: { status: 400 },
  IMAGE_EXISTS: { status: 409, code: 'DENIED' },
  IMAGE_INCOMPLETE: { status: 404, code: 'MANIFEST_UNKNOWN' },
  IMAGE_INVALID: { status: 400, code: 'MANIFEST_INVALID' },
  IMAGE_UNKNOWN: { status: 404, code: 'MANIFEST_UNKNOWN' },
  MANIFEST_BLOB_UNKNOWN: { status: 400 },
  MANIFEST_INVALID: { status: 400 },
  MANIFEST_UNKNOWN: { status: 404 },
  MANIFEST_UNVERIFIED: { status: 400 },
  METHOD_NOT_ALLOWED: { status: 405, code: 'UNSUPPORTED' },
  NAME_INVALID: { status: 400 },
  NAME_UNKNOWN: { status: 404 },
  NOT_FOUND: { status: 404, code: 'UNSUPPORTED' },
  PAGINATION_NUMBER_INVALID: { status: 400 },
  PRECONDITION_FAILED: { status: 412, code: 'DENIED' },
  RANGE_INVALID: { status: 416 },
  REQUEST_INVALID: { status: 400, code: 'UNSUPPORTED' },
  SIZE_INVALID: { status: 400 },
  STORAGE_FULL: { status: 507, code: 'UNAVAILABLE' },
  STORAGE_UNWRITABLE: { status: 503, code: 'UNAVAILABLE' },
  TAG_INVALID: { status: 400 },
  TAG_UNKNOWN: { status: 404, code: 'MANIFEST_UNKNOWN' },
  TOO_LARGE: { status: 413, code: 'MANIFEST_INVALID' },
  TOOMANYREQUESTS: { status: 429 },
  UNAUTHORIZED: { status: 401 },
  UNAVAILABLE: { status: 503 },
  UNKNOWN: { status: 500 },
  UNSUPPORTED: { status: 405 },
  UPLOAD_BUSY: { status: 416, code: 'BLOB_UPLOAD_INVALID' },
};

/** An error in the OCI form, `{"errors": [{code, message, detail}]}`. */
export function renderError(_request: IncomingMessage, error: RegistryError): Answer {
  const errors = [error, ...error.more].map((one) => ({
    code: renderingOf(one).code ?? one.code,
    message: one.message,
    ...(one.detail !== undefined && { detail: one.detail }),
  }));
  const headers = [...refusalHeaders(error), 'Content-Type', 'application/json'];
  return answerWith(renderingOf(error).status, headers, jsonBytes({ errors }));
}

function renderingOf(error: RegistryError): Rendering {
  return RENDERINGS[error.code as ErrorCode] ?? RENDERINGS.UNKNOWN;
}
