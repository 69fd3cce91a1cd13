import { storageError } from './errors.ts';
import { isImageId, type V1ImageId } from './names.ts';

/** Longer chains than any engine makes (they stop at 127) have no V2 form either (bridge.md 4.2). */
export const MAX_ANCESTRY = 1024;

/** The JSON of an image, and what the store needs of it. */
export interface ImageJson {
  id: V1ImageId;
  /** As they came: the payload sum covers these. */
  bytes: Buffer;
  parent: V1ImageId | undefined;
}

/** Reads an image's JSON. Throws IMAGE_INVALID with the old registry's messages (v1.md 1.6). */
export function parseImageJson(bytes: Buffer, id: V1ImageId): ImageJson {
  const json = parseObject(bytes);
  const ownId = field(json, 'id');
  if (ownId === undefined) throw invalid("Missing key `id' in JSON");
  if (ownId !== id) throw invalid('JSON data contains invalid id');
  const parent = field(json, 'parent');
  if (parent === undefined || parent === null || parent === '') {
    return { id, bytes, parent: undefined };
  }
  if (typeof parent !== 'string' || !isImageId(parent)) {
    throw invalid('Image depends on a parent whose id is not 64 hex digits');
  }
  if (parent === id) throw invalid('Image depends on itself');
  return { id, bytes, parent };
}

/** As engines read it: by Go's rules a key matches in any case, and the last one counts. */
function field(json: Record<string, unknown>, name: string): unknown {
  return Object.entries(json).findLast(([key]) => key.toLowerCase() === name)?.[1];
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (cause) {
    throw storageError('IMAGE_INVALID', 'Invalid JSON', { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw invalid('Invalid JSON');
  if (Object.keys(json).length === 0) throw invalid('Invalid JSON');
  return json as Record<string, unknown>;
}

function invalid(message: string) {
  return storageError('IMAGE_INVALID', message);
}
