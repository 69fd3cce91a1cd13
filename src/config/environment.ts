import { Findings, type Origin } from './findings.ts';
import { parseTree } from './parse-tree.ts';
import {
  emptyMap,
  isNull,
  type ListNode,
  type MapNode,
  nodeAt,
  normalizeKey,
  putAt,
  spelledKey,
  type TreeNode,
} from './tree.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = 'REGISTRY_';
/** docker-registry's own two, the path of the file, and what podman and skopeo name their logins by: no settings. */
const NOT_OVERRIDES = new Set([
  'REGISTRY_HOST',
  'REGISTRY_PORT',
  'REGISTRY_CONFIGURATION_PATH',
  'REGISTRY_AUTH_FILE',
]);
/** What container links and Kubernetes set beside services called "registry" or "registry-…". */
const SERVICE_LINK =
  /_(SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP)(_.*)?)$|^REGISTRY_(ENV_.*|NAME)$/;
const SERVICE_URL = /^(tcp|udp):\/\//;
/** Where a name alone stands for a map with that one key: `REGISTRY_STORAGE=s3`. */
const NAMED_CHOICES = new Set(['storage', 'auth']);

/**
 * Lays `REGISTRY_*` over a tree, as distribution does (v2.md 4.1): parents before children, each value read as YAML
 * and replacing what stood there. `flatKeys` are top-level keys that hold `_` themselves.
 */
export function applyEnvironment(
  root: MapNode,
  environment: Environment,
  findings: Findings,
  flatKeys: readonly string[] = [],
): void {
  for (const variable of Object.keys(environment).sort()) {
    const value = environment[variable];
    if (value === undefined || !variable.startsWith(PREFIX) || variable.length === PREFIX.length)
      continue;
    if (NOT_OVERRIDES.has(variable) || SERVICE_LINK.test(variable) || SERVICE_URL.test(value))
      continue;
    const node = parseVariable(variable, value, findings);
    if (node === undefined) continue;
    const segments = variable.slice(PREFIX.length).split('_');
    const flat = flatKeys.find((key) => normalizeKey(key) === normalizeKey(segments.join('')));
    if (flat !== undefined) {
      root.entries.set(spelledKey(root, flat), node);
      continue;
    }
    const problem = overlay(root, segments, node);
    if (problem !== undefined)
      findings.warning('', node.origin, `${problem}; the variable is ignored`);
  }
}

/** The YAML value of a variable; a mistake when it is none. */
export function parseVariable(
  variable: string,
  value: string,
  findings: Findings,
): TreeNode | undefined {
  return parseValue(value, { kind: 'environment', variable }, '', findings);
}

/** One YAML value from outside a file, with the same origin throughout. */
export function parseValue(
  text: string,
  origin: Origin,
  path: string,
  findings: Findings,
): TreeNode | undefined {
  const own = new Findings();
  const node = /^\s*%/.test(text) ? undefined : parseTree(text, own, origin);
  if (own.mistakes.length === 0 && node !== undefined) return node;
  const hint = `put quotes around it, such as '"${text.slice(0, 40)}"'`;
  findings.mistake(path, origin, `the value ${JSON.stringify(text)} is not valid YAML; ${hint}`);
  return undefined;
}

/** Gives what is wrong with the place, or undefined when the node was put there. */
function overlay(map: MapNode, segments: readonly string[], node: TreeNode): string | undefined {
  const [key, rest] = splitKey(map, segments);
  const child = map.entries.get(key);
  if (rest.length === 0) {
    map.entries.set(key, node);
    return undefined;
  }
  const container = containerFor(child, key, rest, node.origin);
  if (container === undefined) return `"${key}" is a single value and has nothing below it`;
  map.entries.set(key, container);
  if (container.kind === 'map') return overlay(container, rest, node);
  return overlayList(container, rest, node);
}

function overlayList(
  list: ListNode,
  [index = '', ...rest]: readonly string[],
  node: TreeNode,
): string | undefined {
  const at = Number(index);
  if (!/^\d+$/.test(index)) return `expected the number of a list item in place of ${index}`;
  if (at > list.items.length)
    return `the list has ${list.items.length} items, so item ${index} can't be set`;
  if (rest.length === 0) {
    list.items[at] = node;
    return undefined;
  }
  const item = list.items[at];
  const map = item?.kind === 'map' ? copy(item) : emptyMap(node.origin);
  list.items[at] = map;
  return overlay(map, rest, node);
}

/** The longest run of segments that spells a key already there; else the first segment, in lower case. */
function splitKey(map: MapNode, segments: readonly string[]): [string, string[]] {
  for (let count = segments.length; count > 0; count--) {
    const key = spelledKey(map, segments.slice(0, count).join(''));
    const found = map.entries.get(key);
    const fits =
      count === 1 || count === segments.length || found?.kind === 'map' || found?.kind === 'list';
    if (found !== undefined && fits) return [key, segments.slice(count)];
  }
  return [(segments[0] ?? '').toLowerCase(), segments.slice(1)];
}

function containerFor(
  child: TreeNode | undefined,
  key: string,
  rest: readonly string[],
  origin: Origin,
): MapNode | ListNode | undefined {
  if (child === undefined || isNull(child)) {
    return /^\d+$/.test(rest[0] ?? '') ? { kind: 'list', items: [], origin } : emptyMap(origin);
  }
  if (child.kind === 'map') return copy(child);
  if (child.kind === 'list') return { ...child, items: [...child.items] };
  if (!NAMED_CHOICES.has(key.toLowerCase())) return undefined;
  return { ...emptyMap(child.origin), entries: new Map([[child.text, emptyMap(child.origin)]]) };
}

/** Merged maps are shared between flavors, so one is copied before it is changed. */
function copy(map: MapNode): MapNode {
  return { ...map, entries: new Map(map.entries) };
}

/** Puts the value of a variable at a path, unless it is unset, empty or set by a container link. */
export function applyVariable(
  root: MapNode,
  environment: Environment,
  variable: string,
  path: string,
  findings: Findings,
): void {
  const value = environment[variable];
  if (value === undefined || value === '') return;
  const node = parseVariable(variable, value, findings);
  if (node !== undefined && !isNull(node) && nodeAt(root, path) !== node) putAt(root, path, node);
}
