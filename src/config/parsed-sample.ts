import type { TreeNode } from './tree.ts';

/** A tree as JSON: a list of nodes, each of which names others by their place; the last is the root. */
export type FlatTree = readonly FlatNode[];

type FlatNode =
  | { line: number; text: string; quoted: boolean }
  | { line: number; entries: readonly (readonly [key: string, place: number])[] }
  | { line: number; items: readonly number[] };

/** A file that was parsed when the commands were bundled. */
export interface ParsedFile {
  text: string;
  tree: FlatTree;
}

/** config_sample.yml, put in by bundle.mjs; the compiler's own files have none. */
declare const PARSED_SAMPLE: ParsedFile | undefined;

/** The tree of the sample as it ships, parsed at build time: most start with it. Undefined for any other text. */
export function parsedSample(text: string): TreeNode | undefined {
  const sample = typeof PARSED_SAMPLE === 'undefined' ? undefined : PARSED_SAMPLE;
  return sample?.text === text ? unflatten(sample.tree) : undefined;
}

/** A tree of a file in a form for JSON. Equal nodes are kept once: aliases repeat whole maps. */
export function flatten(tree: TreeNode): FlatTree {
  const nodes: FlatNode[] = [];
  const places = new Map<string, number>();
  const put = (node: TreeNode): number => {
    const flat = flattenOne(node, put);
    const key = JSON.stringify(flat);
    const place = places.get(key) ?? nodes.push(flat) - 1;
    places.set(key, place);
    return place;
  };
  put(tree);
  return nodes;
}

function flattenOne(node: TreeNode, put: (node: TreeNode) => number): FlatNode {
  const line = node.origin.kind === 'file' ? node.origin.line : 0;
  if (node.kind === 'scalar') return { line, text: node.text, quoted: node.quoted };
  if (node.kind === 'list') return { line, items: node.items.map(put) };
  return { line, entries: [...node.entries].map(([key, value]) => [key, put(value)] as const) };
}

/** The tree again. What was equal is one and the same node now, as it is below a merge key. */
export function unflatten(flat: FlatTree): TreeNode | undefined {
  const nodes: TreeNode[] = [];
  const at = (place: number) => nodes[place] as TreeNode;
  for (const node of flat) {
    const origin = { kind: 'file', line: node.line } as const;
    if ('text' in node)
      nodes.push({ kind: 'scalar', text: node.text, quoted: node.quoted, origin });
    else if ('items' in node) nodes.push({ kind: 'list', items: node.items.map(at), origin });
    else {
      const entries = new Map(node.entries.map(([key, place]) => [key, at(place)] as const));
      nodes.push({ kind: 'map', entries, origin });
    }
  }
  return nodes.at(-1);
}
