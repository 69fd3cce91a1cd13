import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Findings } from '../../../src/config/findings.ts';
import { parseYaml } from '../../../src/config/parse-tree.ts';
import { flatten, parsedSample, unflatten } from '../../../src/config/parsed-sample.ts';
import { packageRoot } from '../../../src/package-root.ts';

const sample = readFileSync(join(packageRoot(), 'config_sample.yml'), 'utf8');

/** A text with everything that a tree can hold, keys in an order that objects do not keep. */
const ODD = 'b: &x {"2": [a, "b", []], 1: {}, __proto__: c}\na:\nc: *x\nd: {<<: *x}\n';

for (const [name, text] of Object.entries({ 'the sample': sample, 'an odd file': ODD }))
  test(`${name} is the same tree after its way through the bundle`, () => {
    const findings = new Findings();
    const tree = parseYaml(text, findings);
    assert.ok(tree);
    assert.deepEqual(findings.mistakes, []);
    const bundled = JSON.parse(JSON.stringify(flatten(tree)));
    assert.deepEqual(unflatten(bundled), tree);
  });

test('the compiled files hold no parsed sample, so that tests read the file', () => {
  assert.equal(parsedSample(sample), undefined);
});
