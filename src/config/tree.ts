import type { Origin } from './findings.ts';

/**
 * A configuration before it has types. Scalars keep their text, so that whoever reads one decides what it is:
 * a password of digits stays a string, `yes` and `0755` mean what YAML 1.1 said.
 */
export type TreeNode = ScalarNode | MapNode | ListNode;

export interface ScalarNode {
  kind: 'scalar';
  text: string;
  /** Quoted or block text is never null, a boolean or a number written by accident. */
  quoted: boolean;
  origin: Origin;
  /** The key path as written, where it was moved to another place in the tree. */
  writtenAs?: string;
}

export interface MapNode {
  kind: 'map';
  entries: Map<string, TreeNode>;
  origin: Origin;
  writtenAs?: string;
}

export interface ListNode {
  kind: 'list';
  items: TreeNode[];
  origin: Origin;
  writtenAs?: string;
}

/** Whether a scalar says "nothing": empty, `~` or `null` without quotes. */
export function isNull(node: TreeNode): boolean {
  return node.kind === 'scalar' && !node.quoted && /^(|~|null|Null|NULL)$/.test(node.text);
}

export function emptyMap(origin: Origin): MapNode {
  return { kind: 'map', entries: new Map(), origin };
}

/** The key of `map` that is `key` but for case, `_` and `-`; `key` itself when there is none. */
export function spelledKey(map: MapNode, key: string): string {
  if (map.entries.has(key)) return key;
  const wanted = normalizeKey(key);
  for (const each of map.entries.keys()) {
    if (normalizeKey(each) === wanted) return each;
  }
  return key;
}

/** Keys are compared without case, `_` and `-`: an environment variable can say none of them. */
export function normalizeKey(key: string): string {
  return key.toLowerCase().replace(/[_-]/g, '');
}

/** The node at a dotted path, or undefined. */
export function nodeAt(root: MapNode, path: string): TreeNode | undefined {
  let node: TreeNode | undefined = root;
  for (const key of path.split('.')) {
    if (node?.kind !== 'map') return undefined;
    node = node.entries.get(spelledKey(node, key));
  }
  return node;
}

/** Puts a node at a dotted path, making the maps on the way; what stood there is replaced. */
export function putAt(root: MapNode, path: string, node: TreeNode): void {
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let map = root;
  for (const key of keys) {
    const spelled = spelledKey(map, key);
    const child = map.entries.get(spelled);
    const next = child?.kind === 'map' ? child : emptyMap(node.origin);
    // A merged map is shared with the flavor it came from, so it is copied before it is changed.
    const own: MapNode = { ...next, entries: new Map(next.entries) };
    map.entries.set(spelled, own);
    map = own;
  }
  map.entries.set(spelledKey(map, last), node);
}
