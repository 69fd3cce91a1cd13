/**
 * Every way in which the content model can refuse something. The names are the OCI distribution-spec's error codes
 * where it has one; each protocol maps them to its own status and form.
 */
export type StorageErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'IMAGE_EXISTS'
  | 'IMAGE_INCOMPLETE'
  | 'IMAGE_INVALID'
  | 'IMAGE_UNKNOWN'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'MANIFEST_UNVERIFIED'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'PRECONDITION_FAILED'
  | 'RANGE_INVALID'
  | 'SIZE_INVALID'
  | 'TAG_INVALID'
  | 'TAG_UNKNOWN'
  | 'TOO_LARGE'
  | 'STORAGE_FULL'
  | 'STORAGE_UNWRITABLE'
  | 'UPLOAD_BUSY';

export interface RegistryErrorOptions {
  /** Machine-readable detail for the client: a digest, a name, a limit. */
  detail?: unknown;
  cause?: unknown;
  /** Further errors of the same answer, such as one for each missing blob. */
  more?: RegistryError[];
}

/** The one error that handlers and stores throw for a reason the client should hear. Everything else is a bug. */
export class RegistryError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly detail: unknown;
  readonly more: RegistryError[];

  constructor(code: Code, message: string, options: RegistryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RegistryError';
    this.code = code;
    this.detail = options.detail;
    this.more = options.more ?? [];
  }
}

/** A RegistryError with one of the codes that storage can produce. */
export function storageError(
  code: StorageErrorCode,
  message: string,
  options?: RegistryErrorOptions,
): RegistryError<StorageErrorCode> {
  return new RegistryError(code, message, options);
}

/** Whether `error` is a RegistryError with this code. */
export function hasCode(error: unknown, code: StorageErrorCode): error is RegistryError {
  return error instanceof RegistryError && error.code === code;
}

/** Thrown by every storage driver when nothing is stored at a path; the store gives it its meaning. */
export class PathNotFoundError extends Error {
  readonly path: string;

  constructor(path: string, cause?: unknown) {
    super(`nothing is stored at ${path}`, cause === undefined ? undefined : { cause });
    this.name = 'PathNotFoundError';
    this.path = path;
  }
}

/** Thrown by a driver's conditional put when the condition does not hold. */
export class ConditionFailedError extends Error {
  readonly path: string;

  constructor(path: string) {
    super(`the condition for writing ${path} does not hold`);
    this.name = 'ConditionFailedError';
    this.path = path;
  }
}

/** What `promise` gives, or undefined when the driver says that nothing is stored there. */
export async function ifFound<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof PathNotFoundError) return undefined;
    throw error;
  }
}
