import type { Digest } from '../digest.ts';
import { quote } from './go-string.ts';
import {
  always,
  goBool,
  goList,
  goString,
  goStrings,
  goStruct,
  goTime,
  unlessEmpty,
} from './go-types.ts';
import { parseJson } from './json-scanner.ts';
import { RawMap } from './raw-map.ts';
import { decodeV1Image, encodeV1Image, type V1Image } from './v1-image.ts';

/** An entry of a config's history, as docker and distribution hold it. */
export interface HistoryEntry {
  created: string;
  author: string;
  createdBy: string;
  comment: string;
  emptyLayer: boolean;
}

const historyEntry = goStruct<HistoryEntry>({
  created: always('created', goTime),
  author: unlessEmpty('author', goString),
  createdBy: unlessEmpty('created_by', goString),
  comment: unlessEmpty('comment', goString),
  emptyLayer: unlessEmpty('empty_layer', goBool),
});
const historyList = goList(historyEntry);

const rootfs = goStruct<{ type: string; diffIds: readonly string[] | null }>({
  type: always('type', goString),
  diffIds: always('diff_ids', goStrings),
});

/** The history of a config, oldest first; throws JsonError. */
export function historyOf(config: RawMap): readonly HistoryEntry[] {
  const json = config.get('history');
  return json === undefined ? [] : (historyList.decode(parseJson(json), null) ?? []);
}

/** The diff IDs that a config claims, base first, as written; undefined when it has no rootfs of type "layers". */
export function claimedDiffIds(config: RawMap): readonly string[] | undefined {
  const json = config.get('rootfs');
  if (json === undefined) return undefined;
  const { type, diffIds } = rootfs.decode(parseJson(json), rootfs.zero);
  return type === 'layers' ? (diffIds ?? []) : undefined;
}

/** Whether a key is missing, null or "". */
export function isBlank(config: RawMap, key: string): boolean {
  const json = config.get(key)?.toString();
  return json === undefined || json === 'null' || json === '""';
}

/** What the history says about a V1 image (bridge.md 4.4). */
export function historyEntryOf(image: V1Image, emptyLayer = false): HistoryEntry {
  const { created, author, comment } = image;
  const createdBy = (image.containerConfig.cmd ?? []).join(' ');
  return { created, author, createdBy, comment, emptyLayer };
}

function encodeHistory(history: readonly HistoryEntry[]): string {
  return historyList.encode(history);
}

/** Before this version, docker's V1 JSON is trusted only as far as its types hold it. */
const RAW_SINCE = [1, 8, 3];
const V1_KEYS = ['id', 'parent', 'Size', 'parent_id', 'layer_id', 'throwaway'];

/**
 * The config that docker makes when it pulls a V1 image (4.5), from the top image's JSON. Throws JsonError for JSON that
 * docker cannot read.
 */
export function configOfV1Image(
  json: Buffer,
  diffIds: readonly Digest[],
  history: readonly HistoryEntry[],
): Buffer {
  const image = decodeV1Image(json);
  const config = RawMap.parse(isBeforeRaw(image.dockerVersion) ? encodeV1Image(image) : json);
  for (const key of V1_KEYS) config.delete(key);
  const ids = diffIds.map(quote).join(',');
  config.set('rootfs', `{"type":"layers","diff_ids":[${ids}]}`);
  config.set('history', encodeHistory(history));
  // OCI demands both; very old engines wrote neither.
  if (isBlank(config, 'architecture')) config.set('architecture', '"amd64"');
  if (isBlank(config, 'os')) config.set('os', '"linux"');
  return config.encode();
}

/** docker's comparison: dotted parts as integers, 0 for what is missing or none. */
function isBeforeRaw(version: string): boolean {
  const parts = version.split('.').map((part) => (/^[+-]?\d+$/.test(part) ? Number(part) : 0));
  const length = Math.max(parts.length, RAW_SINCE.length);
  for (let at = 0; at < length; at++) {
    const difference = (parts[at] ?? 0) - (RAW_SINCE[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
