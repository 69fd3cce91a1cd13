import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { V1TreeExport } from '../../../storage/archives/v1-tree-export.ts';
import { parseRepositoryName } from '../../../storage/names.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import { OldTree } from '../../support/old-tree.ts';
import { expectChain, importTree, simpleTree, tagOf } from '../../support/old-tree-import.ts';
import { directoryStore } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('exporting as an old tree', () => {
  for (const seed of [11, 12, 13, 14]) {
    it(`and importing it again changes no byte (seed ${seed})`, async (context) => {
      const tree = new OldTree(temporaryDirectory(context));
      const forms = (['gzip', 'tar', 'empty', 'gzip-unended', 'unended'] as const).slice(seed % 3);
      const chain = makeV1Chain({ seed, layers: 2 + (seed % 5), forms: [...forms] });
      const top = tree.addChain(chain);
      const below = chain.at(-2) as V1Image;
      tree.writeRepository('library/busybox', 'tag_latest', top);
      tree.writeRepository('library/busybox', 'tag_below', below.id);
      tree.writeRepository('one/two%252Fthree', 'tag_v1', top);
      tree.writeRepository('one/two%252Fthree', '_private', '');
      tree.writeRepository('one/two%252Fthree', 'tagv1_json', '{"os": "linux"}');
      const first = directoryStore(context);
      await importTree(tree, first);
      const out = temporaryDirectory(context);
      const exported = await new V1TreeExport(first, out).run();
      assert.deepEqual([exported.images.exported, exported.tags], [chain.length, 3]);
      for (const { id } of chain) {
        for (const file of ['json', 'layer', 'ancestry', '_checksum']) {
          assert.deepEqual(
            readFileSync(join(out, 'images', id, file)),
            readFileSync(join(tree.root, 'images', id, file)),
          );
        }
      }
      const second = directoryStore(context);
      await importTree(new OldTree(out), second);
      await expectChain(second, chain);
      const { v1 } = second.repository(parseRepositoryName('one/two/three'));
      assert.equal((await v1.readRecord('tag-info/v1'))?.toString(), '{"os": "linux"}');
      assert.equal((await v1.readRecord('properties'))?.toString(), '{"access":"private"}');
      assert.equal(await tagOf(second, 'busybox', 'below'), below.id);
      for (const name of ['busybox', 'one/two/three'].map(parseRepositoryName)) {
        for (const tag of await first.repository(name).tags.all()) {
          assert.equal(
            await second.repository(name).tags.resolve(tag),
            await first.repository(name).tags.resolve(tag),
          );
        }
      }
    });
  }

  it('gives a layer of no bytes back as such', async (context) => {
    const tree = new OldTree(temporaryDirectory(context));
    const [image] = makeV1Chain({ seed: 3, layers: 1 });
    const empty = { ...(image as V1Image), layer: Buffer.alloc(0) };
    tree.writeRepository('team/empty', 'tag_v1', tree.addChain([empty]));
    const store = directoryStore(context);
    assert.deepEqual((await importTree(tree, store)).broken, []);
    const out = temporaryDirectory(context);
    await new V1TreeExport(store, out).run();
    assert.equal(statSync(join(out, 'images', empty.id, 'layer')).size, 0);
    assert.deepEqual((await importTree(new OldTree(out), directoryStore(context))).broken, []);
  });

  it('leaves out repositories that are not asked for, and skips what is there', async (context) => {
    const { tree } = simpleTree(context);
    const other = makeV1Chain({ seed: 40, layers: 2 });
    tree.writeRepository('team/app', 'tag_v1', tree.addChain(other));
    const store = directoryStore(context);
    await importTree(tree, store);
    const out = temporaryDirectory(context);
    const team = await new V1TreeExport(store, out, {
      matches: (name) => name === 'team/app',
    }).run();
    assert.deepEqual([team.images.exported, team.repositories], [2, 1]);
    assert.equal(existsSync(join(out, 'repositories/library')), false);
    const all = await new V1TreeExport(store, out).run();
    assert.deepEqual(all.images, { exported: 3, present: 2 });
  });
});
