import { type Digest, isDigest } from '../digest.ts';
import { storageError } from '../errors.ts';
import { always, goBool, goInt64, goList, goString, goStruct, unlessEmpty } from './go-types.ts';
import { configOfV1Image, type HistoryEntry, historyEntryOf } from './image-config.ts';
import { indentedJson } from './indented-json.ts';
import { JsonError, parseJson } from './json-scanner.ts';
import { type BadLayer, isBadLayer, type LayerFacts } from './layer-facts.ts';
import { type LiftedImage, type NoV2View, type V2Layer, v2Layer, viewsOf } from './lift.ts';
import { decodeV1Image, type V1Image } from './v1-image.ts';

/** One layer of a schema1 manifest. */
export interface Schema1Entry {
  blobSum: Digest;
  /** The V1 JSON; a claim, its IDs are not used as V1 IDs. */
  v1Compatibility: Buffer;
}

/** A schema1 manifest, as its payload says it (bridge.md 6). */
export interface Schema1 {
  name: string;
  tag: string;
  architecture: string;
  /** Top first, at least one. */
  entries: readonly Schema1Entry[];
}

const manifest = goStruct<{
  schemaVersion: bigint;
  name: string;
  tag: string;
  architecture: string;
  fsLayers: readonly { blobSum: string }[] | null;
  history: readonly { v1Compatibility: string }[] | null;
}>({
  schemaVersion: always('schemaVersion', goInt64),
  name: always('name', goString),
  tag: always('tag', goString),
  architecture: always('architecture', goString),
  fsLayers: always('fsLayers', goList(goStruct({ blobSum: always('blobSum', goString) }))),
  history: always(
    'history',
    goList(goStruct({ v1Compatibility: always('v1Compatibility', goString) })),
  ),
});
const throwaway = goStruct<{ throwaway: boolean }>({
  throwaway: unlessEmpty('throwaway', goBool),
});

/** Reads a schema1 payload, whose signatures were verified before. Throws MANIFEST_INVALID. */
export function readSchema1(payload: Buffer): Schema1 {
  let read: typeof manifest.zero;
  try {
    read = manifest.decode(parseJson(payload), manifest.zero);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw storageError('MANIFEST_INVALID', `the manifest is malformed: ${cause.message}`, {
      cause,
    });
  }
  const { schemaVersion, name, tag, architecture } = read;
  const layers = read.fsLayers ?? [];
  const history = read.history ?? [];
  if (schemaVersion !== 1n) throw storageError('MANIFEST_INVALID', 'schemaVersion must be 1');
  if (layers.length === 0 || layers.length !== history.length) {
    const found = `${layers.length} fsLayers and ${history.length} history entries`;
    throw storageError('MANIFEST_INVALID', `fsLayers and history must be as many, found ${found}`);
  }
  const entries = layers.map(({ blobSum }, index) => {
    if (!isDigest(blobSum)) {
      throw storageError('MANIFEST_INVALID', `blobSum ${index} is no digest`, {
        detail: blobSum.slice(0, 200),
      });
    }
    return { blobSum, v1Compatibility: Buffer.from(history[index]?.v1Compatibility ?? '') };
  });
  return { name, tag, architecture, entries };
}

/** A stored blob and its facts; undefined when it is not stored. */
export type StoredLayerOf = (
  digest: Digest,
) => { digest: Digest; size: number; facts: LayerFacts | BadLayer } | undefined;

interface ReadEntry extends Schema1Entry {
  image: V1Image;
  throwaway: boolean;
}

/**
 * The config and manifests that docker makes of a schema1 manifest when it pulls it (6.1), or why it has no view but its
 * own.
 */
export function liftSchema1(
  schema1: Schema1,
  storedLayerOf: StoredLayerOf,
): LiftedImage | NoV2View {
  try {
    const entries = withoutRepeats(schema1.entries.map(readEntry));
    const fault = faultOf(entries);
    if (fault !== undefined) return { reason: 'broken-chain', detail: fault };
    return lift(entries.reverse(), storedLayerOf);
  } catch (error) {
    if (error instanceof JsonError) return { reason: 'bad-json', detail: error.message };
    throw error;
  }
}

function readEntry(entry: Schema1Entry): ReadEntry {
  const span = parseJson(entry.v1Compatibility);
  const image = decodeV1Image(entry.v1Compatibility);
  return { ...entry, image, throwaway: throwaway.decode(span, throwaway.zero).throwaway };
}

/** Old engines wrote an image twice in a row; the older of two equal neighbours counts. */
function withoutRepeats(entries: ReadEntry[]): ReadEntry[] {
  return entries.filter(({ image }, index) => image.id !== entries[index + 1]?.image.id);
}

/** What is wrong with the chain of IDs, top first. */
function faultOf(entries: readonly ReadEntry[]): string | undefined {
  const seen = new Set<string>();
  for (const [index, { image }] of entries.entries()) {
    if (!/^[0-9a-f]{64}$/.test(image.id)) return `entry ${index} has no image ID`;
    if (seen.has(image.id)) return `${image.id} comes more than once`;
    seen.add(image.id);
    const under = entries[index + 1]?.image.id ?? '';
    if (image.parent !== under) return `the parent of ${image.id} is not the image under it`;
  }
  return undefined;
}

function lift(entries: readonly ReadEntry[], storedLayerOf: StoredLayerOf): LiftedImage | NoV2View {
  const layers: V2Layer[] = [];
  const history: HistoryEntry[] = [];
  for (const entry of entries) {
    history.push(historyEntryOf(entry.image, entry.throwaway));
    if (entry.throwaway) continue;
    const stored = storedLayerOf(entry.blobSum);
    if (stored === undefined) return badLayer(`${entry.blobSum} is not stored`);
    if (isBadLayer(stored.facts)) return badLayer(`${entry.blobSum}: ${stored.facts.bad}`);
    layers.push(v2Layer(stored, stored.facts));
  }
  const top = entries.at(-1) as ReadEntry;
  const diffIds = layers.map((layer) => layer.diffId);
  return viewsOf(configOfV1Image(top.v1Compatibility, diffIds, history), layers);
}

function badLayer(detail: string): NoV2View {
  return { reason: 'bad-layer', detail };
}

/** The payload of a schema1 manifest, to be signed. */
export function encodeSchema1({ name, tag, architecture, entries }: Schema1): Buffer {
  return indentedJson({
    schemaVersion: 1,
    name,
    tag,
    architecture,
    fsLayers: entries.map(({ blobSum }) => ({ blobSum })),
    history: entries.map(({ v1Compatibility }) => ({ v1Compatibility })),
  });
}
