import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Findings, type Origin } from '../../../src/config/findings.ts';
import { parseYaml } from '../../../src/config/parse-tree.ts';
import { simpleScalar } from '../../../src/config/simple-scalar.ts';
import type { TreeNode } from '../../../src/config/tree.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const ORIGIN: Origin = { kind: 'environment', variable: 'X' };
const ALPHABET = [...'aZ09_/.:@+~=- "\'#,[]{}&*!|>%?\\\n\t', '...', '---', 'null', '0x1f', './'];
const TEXTS = 20_000;

test('what is taken for a simple scalar is what the YAML library makes of it', () => {
  const random = new SeededRandom(7);
  let taken = 0;
  for (let made = 0; made < TEXTS; made++) {
    const length = random.below(7);
    const inner = Array.from({ length }, () => random.pick(ALPHABET)).join('');
    const text = random.below(4) === 0 ? `"${inner}"` : inner;
    const simple = simpleScalar(text);
    if (simple === undefined) continue;
    taken += 1;
    const findings = new Findings();
    const expected: TreeNode = { kind: 'scalar', ...simple, origin: ORIGIN };
    assert.deepEqual(parseYaml(text, findings, ORIGIN), expected, JSON.stringify(text));
    assert.deepEqual(findings.mistakes, []);
  }
  assert.ok(taken > TEXTS / 20, `only ${taken} were taken`);
});

for (const text of [
  '',
  '0.0.0.0',
  '5000',
  'false',
  '/etc/x-1/y',
  './data',
  'https://a.b:1/c',
  '"-"',
])
  test(`${JSON.stringify(text)} needs no YAML library`, () => {
    assert.notEqual(simpleScalar(text), undefined);
  });

for (const text of [
  'a:',
  'a: b',
  '- a',
  '-',
  '...',
  '---',
  '[a]',
  '{}',
  '~x y',
  '"\\n"',
  'a #b',
  '*a',
])
  test(`${JSON.stringify(text)} is left to the YAML library`, () => {
    assert.equal(simpleScalar(text), undefined);
  });
