import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Findings } from '../../../src/config/findings.ts';
import { parseTree } from '../../../src/config/parse-tree.ts';
import type { TreeNode } from '../../../src/config/tree.ts';

function plain(node: TreeNode): unknown {
  if (node.kind === 'scalar') return node.text;
  if (node.kind === 'list') return node.items.map(plain);
  return Object.fromEntries([...node.entries].map(([key, value]) => [key, plain(value)]));
}

/** A text, and what it says. */
const ALIASES: Record<string, [string, unknown]> = {
  'an alias is the last node before it with its anchor': [
    'a: &x 1\nb: *x\nc: &x 2\nd: *x\n',
    { a: '1', b: '1', c: '2', d: '2' },
  ],
  'a key can have an anchor': ['&x a: 1\nb: *x\n', { a: '1', b: 'a' }],
  'an anchor within another is found': [
    'a: &x {b: &y 1}\nc: [*x, *y]\n',
    { a: { b: '1' }, c: [{ b: '1' }, '1'] },
  ],
  'an alias to nothing is nothing': ['a: *x\nb: &x 1\n', { a: '', b: '1' }],
};

for (const [name, [text, said]] of Object.entries(ALIASES))
  test(name, () => {
    const findings = new Findings();
    const tree = parseTree(text, findings);
    assert.deepEqual(tree && plain(tree), said);
    assert.deepEqual(findings.mistakes, []);
  });

test('an alias that contains itself is a mistake', () => {
  const findings = new Findings();
  parseTree('a: &x [*x]\n', findings);
  assert.match(findings.mistakes[0]?.message ?? '', /nested deeper/);
});
