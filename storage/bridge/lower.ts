import { type Digest, hexOf, isDigest } from '../digest.ts';
import type { Descriptor } from '../manifest.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER_FOREIGN,
  OCI_CONFIG,
  OCI_NONDISTRIBUTABLE,
} from '../media-types.ts';
import type { V1ImageId } from '../names.ts';
import { chainIds, EMPTY_TAR_DIFF_ID } from './chain-id.ts';
import { quote } from './go-string.ts';
import { claimedDiffIds, isBlank } from './image-config.ts';
import { JsonError } from './json-scanner.ts';
import { type BadLayer, isBadLayer, type LayerFacts } from './layer-facts.ts';
import { RawMap } from './raw-map.ts';

/** Why a manifest has no V1 view (bridge.md 3.2). An artifact is no error and is not logged. */
export type NoV1ViewReason =
  | 'no-platform'
  | 'artifact'
  | 'foreign-layer'
  | 'bad-config'
  | 'diffid-mismatch'
  | 'bad-layer';

export interface NoV1View {
  reason: NoV1ViewReason;
  /** For the log. */
  detail: string;
}

/** The parts of a schema2 or OCI image manifest that the bridge looks at. */
export interface ImageParts {
  config: Descriptor;
  layers: readonly Descriptor[];
}

/** What is known of a blob; undefined when it is not stored. */
export type FactsOf = (digest: Digest) => LayerFacts | BadLayer | undefined;

/** One V1 image of the chain of a V2 image: virtual, it is stored nowhere. */
export interface LoweredImage {
  id: V1ImageId;
  /** The image under it; absent in the base. */
  parent?: V1ImageId;
  json: Buffer;
  diffId: Digest;
  /** Absent for an image without layers. */
  chainId?: Digest;
  /** Absent for an image without layers: its body is the gzip empty tar. */
  layer?: Descriptor;
}

/**
 * What a layer of a root file system may call itself, in any compression. Signatures and attestations have the config
 * of an image, but hold JSON.
 */
const LAYER_TYPE = /tar|octet-stream/i;

export function hasNoV1View<T extends object>(result: T | NoV1View): result is NoV1View {
  return 'reason' in result;
}

/** The V1 ID of a V2 image, which is its image ID: all that a tag list needs. */
export function topImageId(config: Digest): V1ImageId {
  return hexOf(config) as V1ImageId;
}

/**
 * The diff IDs of an image, base first, after comparing what its config claims with what its blobs are (2.3, 3.2); or why
 * the image is not bridgeable.
 */
export function proveDiffIds(
  parts: ImageParts,
  config: Buffer,
  factsOf: FactsOf,
): Digest[] | NoV1View {
  const { mediaType } = parts.config;
  if (mediaType !== DOCKER_CONFIG && mediaType !== OCI_CONFIG) {
    return { reason: 'artifact', detail: `its config is a ${mediaType}` };
  }
  const stranger = parts.layers.find((layer) => !LAYER_TYPE.test(layer.mediaType));
  if (stranger) return { reason: 'artifact', detail: `it holds a ${stranger.mediaType}` };
  let claimed: readonly string[] | undefined;
  try {
    claimed = claimedDiffIds(RawMap.parse(config));
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { reason: 'bad-config', detail: error.message };
  }
  if (claimed === undefined) return { reason: 'bad-config', detail: 'rootfs.type is not "layers"' };
  if (claimed.length !== parts.layers.length) {
    const detail = `${claimed.length} diff IDs for ${parts.layers.length} layers`;
    return { reason: 'bad-config', detail };
  }
  const proved: Digest[] = [];
  for (const [index, layer] of parts.layers.entries()) {
    const diffId = proveLayer(layer, claimed[index] as string, factsOf(layer.digest));
    if (typeof diffId !== 'string') return diffId;
    proved.push(diffId);
  }
  return proved;
}

function proveLayer(
  layer: Descriptor,
  claimed: string,
  facts: ReturnType<FactsOf>,
): Digest | NoV1View {
  if (facts === undefined) {
    const reason = isForeign(layer.mediaType) ? 'foreign-layer' : 'bad-layer';
    return { reason, detail: `${layer.digest} is not stored` };
  }
  if (isBadLayer(facts)) return { reason: 'bad-layer', detail: `${layer.digest}: ${facts.bad}` };
  if (!isDigest(claimed) || claimed !== facts.diffId) {
    const detail = `the config claims ${claimed.slice(0, 80)} for ${layer.digest}, which is ${facts.diffId}`;
    return { reason: 'diffid-mismatch', detail };
  }
  return claimed;
}

function isForeign(mediaType: string): boolean {
  return mediaType === DOCKER_LAYER_FOREIGN || mediaType.startsWith(OCI_NONDISTRIBUTABLE);
}

/**
 * The V1 images of a V2 image, base first, as docker 1.10-1.13 pushes them (3.3): one for each layer, the chain ID as ID,
 * but the config's digest for the top. `diffIds` are proved. Throws JsonError when the config is no JSON object.
 */
export function lowerImage(
  parts: ImageParts,
  config: Buffer,
  diffIds: readonly Digest[],
): LoweredImage[] {
  const chain = chainIds(diffIds);
  const top = topImageId(parts.config.digest);
  if (chain.length === 0) {
    return [{ id: top, json: topJson(config, top, undefined), diffId: EMPTY_TAR_DIFF_ID }];
  }
  return chain.map((chainId, index) => {
    const below = chain[index - 1];
    const parent = below && (hexOf(below) as V1ImageId);
    const isTop = index === chain.length - 1;
    const id = isTop ? top : (hexOf(chainId) as V1ImageId);
    return {
      id,
      ...(parent ? { parent } : {}),
      json: isTop ? topJson(config, id, parent) : dependencyJson(id, parent),
      diffId: diffIds[index] as Digest,
      chainId,
      layer: parts.layers[index] as Descriptor,
    };
  });
}

function dependencyJson(id: V1ImageId, parent: V1ImageId | undefined): Buffer {
  return Buffer.from(parent ? `{"id":"${id}","parent":"${parent}"}` : `{"id":"${id}"}`);
}

function topJson(config: Buffer, id: V1ImageId, parent: V1ImageId | undefined): Buffer {
  const map = RawMap.parse(config);
  for (const key of ['rootfs', 'history', 'os.version', 'os.features', 'parent']) map.delete(key);
  // Old engines refuse a time that is none.
  if (isBlank(map, 'created')) map.delete('created');
  map.set('id', quote(id));
  if (parent) map.set('parent', quote(parent));
  return map.encode();
}

/** How a layer goes out over V1: as it lies, as the plain tar, or as the 1024 zero bytes of an empty tar. */
export interface V1Body {
  form: 'blob' | 'tar' | 'empty-tar';
  /** Bytes that are sent: X-Docker-Size. */
  size: number;
}

/** The body that a V1 client gets for a blob of `size` bytes (3.4, 4.3). */
export function v1Body(size: number, facts: LayerFacts): V1Body {
  if (size === 0) return { form: 'empty-tar', size: 1024 };
  const asItLies = facts.encoding === 'gzip' || facts.encoding === 'none';
  return asItLies ? { form: 'blob', size } : { form: 'tar', size: facts.diffSize };
}
