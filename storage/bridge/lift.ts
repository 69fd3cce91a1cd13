import { type Digest, digestOf } from '../digest.ts';
import type { Descriptor } from '../manifest.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER_GZIP,
  DOCKER_LAYER_TAR,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_LAYER_GZIP,
  OCI_LAYER_TAR,
  OCI_MANIFEST,
} from '../media-types.ts';
import type { V1ImageId } from '../names.ts';
import { EMPTY_TAR_DIFF_ID, EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST } from './chain-id.ts';
import { configOfV1Image, historyEntryOf } from './image-config.ts';
import { indentedJson, type JsonTree } from './indented-json.ts';
import { JsonError } from './json-scanner.ts';
import { type BadLayer, isBadLayer, type LayerFacts } from './layer-facts.ts';
import { decodeV1Image, type V1Image } from './v1-image.ts';

/** A longer chain of parents has no V2 view (bridge.md 4.2). */
const MAX_CHAIN = 1024;

/** What V2 lists for a stored layer (4.3). */
export interface V2Layer {
  /** The stored blob itself, its plain tar (which is then kept as a blob), or the gzip empty tar. */
  source: 'blob' | 'plain-tar' | 'empty-tar';
  digest: Digest;
  size: number;
  diffId: Digest;
  gzip: boolean;
}

/** An image of a V1 chain with what is known of its layer as stored. */
export interface V1ChainLink {
  id: V1ImageId;
  json: Buffer;
  layer: { digest: Digest; size: number };
  facts: LayerFacts | BadLayer;
}

/** Bytes to store, and their descriptor. */
export interface DerivedBlob {
  bytes: Buffer;
  descriptor: Descriptor;
}

/** The V2 views of an image; OCI and schema2 share the config's bytes. */
export interface LiftedImage {
  config: DerivedBlob;
  schema2: DerivedBlob;
  oci: DerivedBlob;
  /** Base first. */
  layers: readonly V2Layer[];
}

/** Why a chain has no V2 view. */
export interface NoV2View {
  reason: 'broken-chain' | 'bad-json' | 'bad-layer';
  detail: string;
}

export function hasNoV2View<T extends object>(result: T | NoV2View): result is NoV2View {
  return 'reason' in result;
}

/** The blob that stands for a stored layer in V2 manifests (4.3). */
export function v2Layer(blob: { digest: Digest; size: number }, facts: LayerFacts): V2Layer {
  const { digest, size } = blob;
  const { diffId } = facts;
  if (size === 0) return emptyV2Layer();
  if (facts.encoding === 'gzip') return { source: 'blob', digest, size, diffId, gzip: true };
  if (facts.encoding === 'none') return { source: 'blob', digest, size, diffId, gzip: false };
  return { source: 'plain-tar', digest: diffId, size: facts.diffSize, diffId, gzip: false };
}

function emptyV2Layer(): V2Layer {
  return {
    source: 'empty-tar',
    digest: EMPTY_TAR_GZIP_DIGEST,
    size: EMPTY_TAR_GZIP.length,
    diffId: EMPTY_TAR_DIFF_ID,
    gzip: true,
  };
}

/** The V2 views of a V1 chain, base first (4.2-4.6), with docker's image ID as the config's digest; or why it has none. */
export function liftChain(chain: readonly V1ChainLink[]): LiftedImage | NoV2View {
  const images = decodeChain(chain);
  if (hasNoV2View(images)) return images;
  const layers: V2Layer[] = [];
  for (const { id, layer, facts } of chain) {
    if (isBadLayer(facts)) return { reason: 'bad-layer', detail: `layer of ${id}: ${facts.bad}` };
    layers.push(v2Layer(layer, facts));
  }
  const top = chain.at(-1) as V1ChainLink;
  const history = images.map((image) => historyEntryOf(image));
  try {
    const diffIds = layers.map((layer) => layer.diffId);
    return viewsOf(configOfV1Image(top.json, diffIds, history), layers);
  } catch (error) {
    if (error instanceof JsonError) return { reason: 'bad-json', detail: error.message };
    throw error;
  }
}

function decodeChain(chain: readonly V1ChainLink[]): V1Image[] | NoV2View {
  if (chain.length === 0 || chain.length > MAX_CHAIN) {
    return {
      reason: 'broken-chain',
      detail: `${chain.length} images, 1 to ${MAX_CHAIN} are allowed`,
    };
  }
  const images: V1Image[] = [];
  const seen = new Set<string>();
  let parent = '';
  for (const { id, json } of chain) {
    let image: V1Image;
    try {
      image = decodeV1Image(json);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      return { reason: 'bad-json', detail: `JSON of ${id}: ${error.message}` };
    }
    if (image.id !== id || seen.has(id)) {
      return { reason: 'broken-chain', detail: `the JSON of ${id} names ${image.id.slice(0, 80)}` };
    }
    if (image.parent !== parent) {
      const detail = `the parent of ${id} is "${image.parent.slice(0, 80)}", under it is "${parent}"`;
      return { reason: 'broken-chain', detail };
    }
    seen.add(id);
    images.push(image);
    parent = id;
  }
  return images;
}

/** The manifests over a config and its layers, as docker 1.10 and later writes them (4.6). */
export function viewsOf(config: Buffer, layers: readonly V2Layer[]): LiftedImage {
  const digest = digestOf(config);
  const manifest = (mediaType: string, configType: string, gzipType: string, tarType: string) => {
    const tree: JsonTree = {
      schemaVersion: 2,
      mediaType,
      config: { mediaType: configType, size: config.length, digest },
      layers: layers.map(({ gzip, size, digest: blob }) => ({
        mediaType: gzip ? gzipType : tarType,
        size,
        digest: blob,
      })),
    };
    return derived(indentedJson(tree), mediaType);
  };
  return {
    config: derived(config, DOCKER_CONFIG),
    schema2: manifest(DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_LAYER_TAR),
    oci: manifest(OCI_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_TAR),
    layers,
  };
}

function derived(bytes: Buffer, mediaType: string): DerivedBlob {
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } };
}
