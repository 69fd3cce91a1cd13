import { isImageId, isTag } from '../../storage/names.ts';
import type { V1ListEntry } from '../../storage/v1-store.ts';
import { registryError } from '../registry.ts';

/**
 * A list of images as engines announce it, `[{"id": …, "Tag": …, "checksum": …}, …]` (v1.md 1.8).
 * Throws REQUEST_INVALID that says which entry is wrong.
 */
export function imageListOf(json: unknown): V1ListEntry[] {
  if (!Array.isArray(json)) throw invalid();
  return json.map(entryOf);
}

function entryOf(value: unknown, index: number): V1ListEntry {
  if (typeof value !== 'object' || value === null) throw invalid(`entry ${index} is no object`);
  const { id, Tag: tag, checksum } = value as Record<string, unknown>;
  if (id === undefined) throw invalid(`entry ${index} has no id`);
  if (typeof id !== 'string' || !isImageId(id)) {
    throw invalid(`the id of entry ${index} is not 64 lower-case hex digits`);
  }
  if (isSaid(tag) && (typeof tag !== 'string' || !isTag(tag))) {
    throw invalid(`the Tag of entry ${index} is not a valid tag`);
  }
  if (isSaid(checksum) && typeof checksum !== 'string') {
    throw invalid(`the checksum of entry ${index} is not a string`);
  }
  return { id, ...(isSaid(tag) && { tag }), ...(isSaid(checksum) && { checksum }) };
}

/** Go leaves a field out or sends an empty string; others send null. */
function isSaid<T>(value: T): value is Exclude<T, undefined | null | ''> {
  return value !== undefined && value !== null && value !== '';
}

function invalid(reason?: string) {
  return registryError('REQUEST_INVALID', reason ? `Invalid data: ${reason}` : 'Invalid data');
}
