import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import type { Findings, Origin } from './findings.ts';
import { parsedSample } from './parsed-sample.ts';
import { simpleScalar } from './simple-scalar.ts';
import { emptyMap, type MapNode, type TreeNode } from './tree.ts';

/**
 * The tree of one YAML document, merge keys (`<<`) and aliases resolved. Syntax errors become mistakes, and then
 * nothing is given. `fixed` is the origin of every node, for text that is no file; without it nodes carry their line.
 */
export function parseTree(text: string, findings: Findings, fixed?: Origin): TreeNode | undefined {
  if (fixed === undefined) return parsedSample(text) ?? parseYaml(text, findings);
  const simple = simpleScalar(text);
  return simple ? { kind: 'scalar', ...simple, origin: fixed } : parseYaml(text, findings, fixed);
}

/** The same, always by the YAML library. */
export function parseYaml(text: string, findings: Findings, fixed?: Origin): TreeNode | undefined {
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
  readonly #targets: ReadonlyMap<Alias, Node | undefined>;
  readonly #findings: Findings;
  readonly #fixed: Origin | undefined;
  readonly #lineOf: (offset: number) => number;

  constructor(
    document: Document,
    findings: Findings,
    fixed: Origin | undefined,
    lineOf: (offset: number) => number,
  ) {
    this.#targets = aliasTargets(document);
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
    if (isAlias(node)) return this.build(this.#targets.get(node), depth + 1);
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

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value ?? '') : String(key);
}

/** What each alias stands for: the last node before it that has its anchor. Found in one walk for all of them. */
function aliasTargets(document: Document): Map<Alias, Node | undefined> {
  const targets = new Map<Alias, Node | undefined>();
  const anchored = new Map<string, Node>();
  visit(document, {
    Node: (_key, node) => {
      if (isAlias(node)) targets.set(node, anchored.get(node.source));
      else if (node.anchor !== undefined) anchored.set(node.anchor, node);
    },
  });
  return targets;
}
