import { quote, quoteBytes } from './go-string.ts';

/** What a manifest is written from; a Buffer is a string given by its raw bytes, undefined members are left out. */
export type JsonTree =
  | string
  | number
  | Buffer
  | readonly JsonTree[]
  | { readonly [key: string]: JsonTree | undefined };

/** JSON with three spaces a level and no final newline, as docker writes manifests (bridge.md 9.4). */
export function indentedJson(tree: JsonTree): Buffer {
  return Buffer.from(write(tree, '\n'));
}

function write(tree: JsonTree, lineBreak: string): string {
  if (typeof tree === 'string') return quote(tree);
  if (typeof tree === 'number') return String(tree);
  if (Buffer.isBuffer(tree)) return quoteBytes(tree);
  const inner = `${lineBreak}   `;
  if (isList(tree))
    return wrap(
      '[',
      tree.map((item) => write(item, inner)),
      ']',
      lineBreak,
    );
  const members = Object.entries(tree).flatMap(([key, value]) =>
    value === undefined ? [] : [`${quote(key)}: ${write(value, inner)}`],
  );
  return wrap('{', members, '}', lineBreak);
}

function isList(tree: object): tree is readonly JsonTree[] {
  return Array.isArray(tree);
}

function wrap(open: string, items: string[], close: string, lineBreak: string): string {
  if (items.length === 0) return open + close;
  return `${open}${lineBreak}   ${items.join(`,${lineBreak}   `)}${lineBreak}${close}`;
}
