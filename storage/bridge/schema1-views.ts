import { createHash } from 'node:crypto';
import { type Digest, hexOf } from '../digest.ts';
import { EMPTY_TAR_GZIP_DIGEST } from './chain-id.ts';
import { quote } from './go-string.ts';
import { canonicalTime, ZERO_TIME } from './go-time.ts';
import { goString } from './go-types.ts';
import { claimedDiffIds, type HistoryEntry, historyOf, isBlank } from './image-config.ts';
import { JsonError, parseJson } from './json-scanner.ts';
import type { LiftedImage, V1ChainLink, V2Layer } from './lift.ts';
import { RawMap } from './raw-map.ts';
import { encodeSchema1, type Schema1Entry } from './schema1.ts';

/** What a schema1 manifest calls itself; `tag` is "" for a GET by digest. */
export interface Schema1Name {
  name: string;
  tag: string;
}

/** The schema1 payload of a V1-born tag (bridge.md 6.2): the stored JSON verbatim, so docker 1.6 shows the V1 IDs. */
export function schema1OfChain(
  target: Schema1Name,
  chain: readonly V1ChainLink[],
  image: LiftedImage,
): Buffer {
  const entries = chain.map(({ json }, index) => ({
    blobSum: (image.layers[index] as V2Layer).digest,
    v1Compatibility: json,
  }));
  const architecture = architectureOf(RawMap.parse(image.config.bytes));
  return encodeSchema1({ ...target, architecture, entries: entries.reverse() });
}

/**
 * The schema1 payload of a V2-born tag (6.3), as distribution's builder makes it from the config and its layers, base
 * first. Throws JsonError for a config that is no JSON object.
 */
export function schema1OfImage(
  target: Schema1Name,
  config: Buffer,
  layers: readonly V2Layer[],
): Buffer {
  const effective = effectiveConfig(config);
  const history = historyOf(RawMap.parse(effective));
  const remaining = layers.map((layer) => layer.digest);
  const entries: Schema1Entry[] = [];
  let parent = '';
  for (const [index, entry] of history.entries()) {
    const blobSum = entry.emptyLayer ? EMPTY_TAR_GZIP_DIGEST : remaining.shift();
    if (blobSum === undefined) throw new JsonError('the config has more diff IDs than layers');
    const isTop = index === history.length - 1;
    const id = idOf(blobSum, parent, isTop ? effective : undefined);
    const v1Compatibility = isTop
      ? topJson(effective, id, parent, entry.emptyLayer)
      : entryJson(entry, id, parent);
    entries.push({ blobSum, v1Compatibility });
    parent = id;
  }
  const architecture = architectureOf(RawMap.parse(effective));
  return encodeSchema1({ ...target, architecture, entries: entries.reverse() });
}

/** The config as distribution's builder can use it: it refuses or cuts short what has no fitting history. */
function effectiveConfig(config: Buffer): Buffer {
  const map = RawMap.parse(config);
  const layerCount = claimedDiffIds(map)?.length ?? 0;
  const fits = hasFittingHistory(map, layerCount);
  const staleParent = map.get('parent') !== undefined;
  const emptyCreated = map.get('created') !== undefined && isBlank(map, 'created');
  if (fits && !staleParent && !emptyCreated) return config;
  map.delete('parent');
  if (emptyCreated) map.delete('created');
  if (!fits) map.set('history', replacementHistory(map, layerCount));
  return map.encode();
}

function hasFittingHistory(config: RawMap, layerCount: number): boolean {
  try {
    const history = historyOf(config);
    return history.length > 0 && history.filter((entry) => !entry.emptyLayer).length === layerCount;
  } catch (error) {
    if (error instanceof JsonError) return false;
    throw error;
  }
}

function replacementHistory(config: RawMap, layerCount: number): string {
  const created = createdOf(config);
  if (layerCount === 0) return `[{"created":${created},"empty_layer":true}]`;
  return `[${Array.from({ length: layerCount }, () => `{"created":${created}}`).join(',')}]`;
}

/** The config's time as it stands, if it is one. */
function createdOf(config: RawMap): string {
  const json = config.get('created')?.toString() ?? '';
  try {
    canonicalTime(json.slice(1, -1));
    return json;
  } catch {
    return quote(ZERO_TIME);
  }
}

function architectureOf(config: RawMap): string {
  const json = config.get('architecture');
  return json === undefined ? '' : goString.decode(parseJson(json), '');
}

function idOf(blob: Digest, parent: string, config: Buffer | undefined): string {
  const hash = createHash('sha256').update(`${hexOf(blob)} ${parent}`);
  if (config !== undefined) hash.update(' ').update(config);
  return hash.digest('hex');
}

function entryJson(entry: HistoryEntry, id: string, parent: string): Buffer {
  const members = [`"id":${quote(id)}`];
  if (parent !== '') members.push(`"parent":${quote(parent)}`);
  if (entry.comment !== '') members.push(`"comment":${quote(entry.comment)}`);
  members.push(`"created":${quote(entry.created)}`);
  members.push(`"container_config":{"Cmd":[${quote(entry.createdBy)}]}`);
  if (entry.author !== '') members.push(`"author":${quote(entry.author)}`);
  if (entry.emptyLayer) members.push('"throwaway":true');
  return Buffer.from(`{${members.join(',')}}`);
}

function topJson(config: Buffer, id: string, parent: string, emptyLayer: boolean): Buffer {
  const map = RawMap.parse(config);
  map.delete('rootfs');
  map.delete('history');
  map.set('id', quote(id));
  if (parent !== '') map.set('parent', quote(parent));
  if (emptyLayer) map.set('throwaway', 'true');
  return map.encode();
}
