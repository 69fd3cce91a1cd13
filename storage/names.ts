import type { Brand } from './brand.ts';
import { storageError } from './errors.ts';

/** `a/b/c`, OCI distribution-spec "Pulling manifests": lower-case components, 255 bytes in all. */
export type RepositoryName = string & Brand<'RepositoryName'>;
export type Tag = string & Brand<'Tag'>;
/** 64 lower-case hex digits (or 16, in old trees), chosen by whoever pushed the image. */
export type V1ImageId = string & Brand<'V1ImageId'>;
/** A version-4 or version-7 UUID, made by the store. */
export type UploadId = string & Brand<'UploadId'>;

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const IMAGE_ID = /^(?:[0-9a-f]{16}|[0-9a-f]{64})$/;
const UPLOAD_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const MAX_NAME = 255;

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= MAX_NAME && NAME.test(text);
}

/** The checked name; throws NAME_INVALID that says which rule it breaks. */
export function parseRepositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text;
  const reason =
    text.length > MAX_NAME
      ? `it has ${text.length} characters, at most ${MAX_NAME} are allowed`
      : 'use lower-case letters and digits, separated by one of . _ __ - and, between components, /';
  throw storageError('NAME_INVALID', `invalid repository name: ${reason}`, {
    detail: { name: text.slice(0, MAX_NAME) },
  });
}

export function isTag(text: string): text is Tag {
  return TAG.test(text);
}

/** The checked tag; throws TAG_INVALID. */
export function parseTag(text: string): Tag {
  if (isTag(text)) return text;
  throw storageError('TAG_INVALID', `invalid tag: it must match ${TAG.source}`, {
    detail: { tag: text.slice(0, 200) },
  });
}

export function isImageId(text: string): text is V1ImageId {
  return IMAGE_ID.test(text);
}

/** The checked V1 image ID; throws IMAGE_UNKNOWN, since no image can have another (v1.md 1.1). */
export function parseImageId(text: string): V1ImageId {
  if (isImageId(text)) return text;
  throw storageError('IMAGE_UNKNOWN', 'Invalid image ID');
}

export function isUploadId(text: string): text is UploadId {
  return UPLOAD_ID.test(text);
}

/** The checked upload id; throws BLOB_UPLOAD_UNKNOWN, since no upload can have another. */
export function parseUploadId(text: string): UploadId {
  if (isUploadId(text)) return text;
  throw storageError('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
}

/** Orders names by their components, so that `a/b` stands before `a-b` (distribution's walk order, v2.md 1.6). */
export function compareNames(a: string, b: string): number {
  const left = a.replaceAll('/', '\0');
  const right = b.replaceAll('/', '\0');
  return left < right ? -1 : left > right ? 1 : 0;
}
