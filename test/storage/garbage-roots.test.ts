import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GarbageOptions } from '../../storage/garbage-collection.ts';
import { V1GarbageRoot } from '../../storage/v1-garbage.ts';
import { useGarbageRig } from '../support/garbage-rig.ts';
import { image, randomBlob } from '../support/oci-content.ts';
import { snapshot } from '../support/snapshot.ts';

describe('other roots of garbage collection', () => {
  const use = useGarbageRig();

  const v1 = '/docker/registry/v1';
  const id = 'ab'.repeat(32);
  const record = `${v1}/images/${id}`;

  it('keep the layers of V1 images', async () => {
    const layer = randomBlob();
    await use.rig.tree.data(layer);
    const line = JSON.stringify({ blob: layer.digest, size: layer.size, ancestry: [id] });
    await use.rig.driver.put(record, `${line}\n{}`);
    const roots = [new V1GarbageRoot(use.rig.driver)];
    await use.rig.collect({ roots });
    assert.deepEqual(await use.rig.stored(layer), [true]);
  });

  it('stop everything where a V1 record is damaged', async () => {
    const layer = randomBlob();
    await use.rig.tree.data(layer);
    await use.rig.driver.put(record, '{"blob":\n');
    const report = await use.rig.collect({ roots: [new V1GarbageRoot(use.rig.driver)] });
    assert.equal(report.problems.length, 1);
    assert.deepEqual(await use.rig.stored(layer), [true]);
  });

  it('forget what they noted of a blob that is gone', async () => {
    const layer = randomBlob();
    const hex = layer.digest.slice(7);
    const diff = 'cd'.repeat(32);
    await use.rig.tree.data(layer);
    const before = [
      `${v1}/facts/sha256/${hex.slice(0, 2)}/${hex}`,
      `${v1}/diffs/cd/${diff}/sha256-${hex}`,
      `${v1}/manifests/sha256/${hex.slice(0, 2)}/${hex}/forms`,
    ];
    const facts = JSON.stringify({ diffId: `sha256:${diff}` });
    for (const path of before) await use.rig.driver.put(path, facts);
    await use.rig.collect({ roots: [new V1GarbageRoot(use.rig.driver)] });
    assert.deepEqual(await snapshot(use.rig.driver), {});
  });

  it('may keep a manifest that no tag names', async () => {
    const one = await use.rig.write('repo', image());
    const other = await use.rig.write('repo', image());
    const roots: GarbageOptions['roots'] = [
      { mark: async (marks) => marks.manifest('repo' as never, one.digest as never) },
    ];
    await use.rig.collect({ deleteUntagged: true, roots });
    assert.deepEqual(await use.rig.stored(one, other), [true, false]);
  });
});
