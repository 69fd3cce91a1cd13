import { type Digest, digestOf, hexOf } from '../digest.ts';
import type { V1ImageId } from '../names.ts';
import { chainIds } from './chain-id.ts';
import { quote } from './go-string.ts';
import { RawMap } from './raw-map.ts';
import { decodeV1Image, EMPTY_V1_IMAGE, encodeV1Image, type V1Image } from './v1-image.ts';

/** A directory of a `docker save` archive: its name and its file `json`. */
export interface SavedImage {
  id: V1ImageId;
  json: Buffer;
}

const EPOCH = '1970-01-01T00:00:00Z';

/**
 * The images that `docker save` writes for a config, base first, one for each diff ID (bridge.md 9.5, 10.4). Throws
 * JsonError when docker's types cannot hold the config. docker refuses to save an image without layers.
 */
export function savedImages(config: Buffer, diffIds: readonly Digest[]): SavedImage[] {
  const top: V1Image = { ...decodeV1Image(config), id: '', parent: '' };
  const saved: SavedImage[] = [];
  let parent: Digest | undefined;
  for (const [index, chainId] of chainIds(diffIds).entries()) {
    const image = index === diffIds.length - 1 ? top : { ...EMPTY_V1_IMAGE, created: EPOCH };
    const digest = createId(image, chainId, parent);
    const id = hexOf(digest) as V1ImageId;
    const below = parent === undefined ? '' : hexOf(parent);
    saved.push({ id, json: encodeV1Image({ ...image, id, parent: below, os: top.os }) });
    parent = digest;
  }
  return saved;
}

/** docker's v1.CreateID, whose hex digits are the ID; the parent is written as a full digest there. */
function createId(image: V1Image, chainId: Digest, parent: Digest | undefined): Digest {
  const map = RawMap.parse(encodeV1Image(image));
  map.set('layer_id', quote(chainId));
  if (parent !== undefined) map.set('parent', quote(parent));
  return digestOf(map.encode());
}
