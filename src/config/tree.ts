import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Findings, Origin } from './findings.ts';

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

/**
 * The tree of one YAML document, merge keys (`<<`) and aliases resolved. Syntax errors become mistakes, and then
 * nothing is given. `fixed` is the origin of every node, for text that is no file; without it nodes carry their line.
 */
export function parseTree(text: string, findings: Findings, fixed?: Origin): TreeNode | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
  });
  const lineOf = (offset: number) => lines.linePos(offset).line;
  for (const error of document.errors) {
    const origin: Origin = fixed ?? { kind: 'file', line: lineOf(error.pos[0]) };
    findings.mistake('', origin, `not valid YAML: ${error.message}`);
  }
  if (document.errors.length > 0) return undefined;
  return new TreeBuilder(document, findings, fixed, lineOf).build(document.contents, 0);
}

/** Deeper than any sensible configuration; stops aliases that contain themselves. */
const MAX_DEPTH = 40;

class TreeBuilder {
  readonly #document: Document;
  readonly #findings: Findings;
  readonly #fixed: Origin | undefined;
  readonly #lineOf: (offset: number) => number;

  constructor(
    document: Document,
    findings: Findings,
    fixed: Origin | undefined,
    lineOf: (offset: number) => number,
  ) {
    this.#document = document;
    this.#findings = findings;
    this.#fixed = fixed;
    this.#lineOf = lineOf;
  }

  build(node: unknown, depth: number): TreeNode {
    const origin = this.#originOf(node);
    if (depth > MAX_DEPTH) {
      this.#findings.mistake('', origin, `nested deeper than ${MAX_DEPTH} levels`);
      return { kind: 'scalar', text: '', quoted: false, origin };
    }
    if (isAlias(node)) return this.build(node.resolve(this.#document), depth + 1);
    if (isMap(node)) {
      const map = emptyMap(origin);
      const merged: TreeNode[] = [];
      for (const pair of node.items) {
        const key = keyText(pair.key);
        const value = this.build(pair.value ?? undefined, depth + 1);
        const placed = pair.value == null ? { ...value, origin: this.#originOf(pair.key) } : value;
        if (key === '<<') merged.push(placed);
        else {
          if (map.entries.has(key)) {
            this.#findings.mistake(key, placed.origin, 'the key is given twice in the same map');
          }
          map.entries.set(key, placed);
        }
      }
      for (const source of merged) this.#merge(map, source);
      return map;
    }
    if (isSeq(node)) {
      return { kind: 'list', items: node.items.map((item) => this.build(item, depth + 1)), origin };
    }
    if (isScalar(node)) {
      const quoted = node.type !== undefined && node.type !== 'PLAIN';
      return { kind: 'scalar', text: String(node.value ?? ''), quoted, origin };
    }
    return { kind: 'scalar', text: '', quoted: false, origin };
  }

  /** Own keys win over merged ones, and of several merged maps the first wins (YAML merge key type). */
  #merge(map: MapNode, source: TreeNode): void {
    const sources = source.kind === 'list' ? source.items : [source];
    for (const each of sources) {
      if (each.kind !== 'map') {
        this.#findings.mistake('<<', each.origin, 'only a map can be merged; expected `<<: *name`');
        continue;
      }
      for (const [key, value] of each.entries) {
        if (!map.entries.has(key)) map.entries.set(key, value);
      }
    }
  }

  #originOf(node: unknown): Origin {
    if (this.#fixed !== undefined) return this.#fixed;
    const range = (node as { range?: [number, number, number] | null } | null | undefined)?.range;
    return { kind: 'file', line: range ? this.#lineOf(range[0]) : 1 };
  }
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

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value ?? '') : String(key);
}
