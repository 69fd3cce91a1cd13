import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { partsOf, useGarbageRig } from '../support/garbage-rig.ts';
import { describe as described, digest, image, randomBlob } from '../support/oci-content.ts';
import { snapshot } from '../support/snapshot.ts';

describe('garbage collection of a tree of which some cannot be read', () => {
  const use = useGarbageRig();

  it('keeps all that the repository of a missing manifest holds, and cleans the others', async () => {
    const layer = randomBlob();
    const missing = image();
    await use.rig.tree.blob('broken', layer);
    await use.rig.write('broken', missing, 'latest');
    const untagged = await use.rig.write('broken', image());
    const hex = missing.digest.slice('sha256:'.length);
    await use.rig.driver.delete(`/docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}`);
    const orphan = randomBlob();
    await use.rig.tree.blob('fine', orphan);
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.ok(report.problems.some((line) => line.includes(missing.digest)));
    assert.ok(use.rig.lines.some((line) => line.startsWith('problem: ')));
    assert.deepEqual(report.manifests, []);
    assert.deepEqual(await use.rig.stored(layer, untagged, ...untagged.layers), [true, true, true]);
    assert.deepEqual(await use.rig.stored(orphan), [false]);
  });

  it('treats a damaged manifest as a missing one', async () => {
    const layer = randomBlob();
    const damaged = image();
    await use.rig.tree.blob('repo', layer);
    await use.rig.write('repo', damaged, 'latest');
    await use.rig.tree.data(damaged, '');
    const report = await use.rig.collect();
    assert.equal(report.problems.length, 1);
    assert.deepEqual(await use.rig.stored(layer, ...damaged.layers), [true, true]);
  });

  it('marks every digest in a document that no parser here accepts', async () => {
    const layer = randomBlob();
    const strange = described(
      JSON.stringify({ schemaVersion: 2, layers: [{ blob: layer.digest }], manifests: [] }),
    );
    await use.rig.tree.blob('repo', layer);
    await use.rig.tree.manifest('repo', strange, 'latest');
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(report.problems, []);
    assert.deepEqual(await use.rig.stored(layer, strange), [true, true]);
  });

  it('takes a torn revision link by its place', async () => {
    const one = await use.rig.write('repo', image());
    const path = `_manifests/revisions/${one.digest.replace(':', '/')}/link`;
    await use.rig.tree.file('repo', path, '');
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.equal(report.problems.length, 1);
    assert.deepEqual(await use.rig.stored(...partsOf(one)), [true, true, true]);
    assert.ok(await use.rig.tree.hasFile('repo', path));
  });

  it('keeps all that a torn tag ever named', async () => {
    const old = await use.rig.write('repo', image(), 'latest');
    const now = await use.rig.write('repo', image(), 'latest');
    const other = await use.rig.write('repo', image());
    await use.rig.tree.tag('repo', 'latest', now.digest, '');
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.deepEqual(report.problems.length, 1);
    assert.deepEqual(await use.rig.stored(old, now, other), [true, true, false]);
  });

  it('deletes nothing at all when a torn alias may stand for anything', async () => {
    const layer = randomBlob();
    const alias = digest(layer.bytes, 'sha512');
    await use.rig.tree.blob('repo', layer);
    await use.rig.tree.file('repo', `_layers/${alias.replace(':', '/')}/link`, '');
    const before = await snapshot(use.rig.driver);
    const report = await use.rig.collect({ deleteUntagged: true });
    assert.equal(report.problems.length, 1);
    assert.deepEqual(await snapshot(use.rig.driver), before);
  });
});
