import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseRepositoryName } from '../../../storage/names.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import { OldTree, payloadSum } from '../../support/old-tree.ts';
import { expectChain, importTree, simpleTree, tagOf } from '../../support/old-tree-import.ts';
import { directoryStore } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('checksums of an old tree', () => {
  const rows: [what: string, sums: (image: V1Image) => string, unverified: number][] = [
    ['a bare payload sum', payloadSum, 0],
    ['a bare tarsum', (image) => image.tarsum ?? '', 0],
    ['a list of both', (image) => JSON.stringify([payloadSum(image), image.tarsum]), 0],
    [
      'a right payload sum beside a tarsum of other rules',
      (image) => JSON.stringify([payloadSum(image), `tarsum+sha256:${'1'.repeat(64)}`]),
      0,
    ],
    ['a foreign sum', () => '["md5:00112233445566778899aabbccddeeff"]', 1],
    ['a tarsum of a later version', () => `["tarsum.v1+sha256:${'1'.repeat(64)}"]`, 1],
    ['nothing', () => '', 1],
    ['an empty list', () => '[]', 1],
  ];
  for (const [what, sums, unverified] of rows) {
    it(`may be ${what}`, async (context) => {
      const tree = new OldTree(temporaryDirectory(context));
      const chain = makeV1Chain({ seed: 5, layers: 1 });
      tree.writeRepository('team/app', 'tag_v1', tree.addChain(chain));
      tree.writeImage(chain[0]?.id ?? '', '_checksum', sums(chain[0] as V1Image));
      const report = await importTree(tree, directoryStore(context));
      assert.deepEqual([report.broken, report.unverified], [[], unverified]);
    });
  }
});

describe('ancestry files of an old tree', () => {
  const rows: [what: string, content: string, note: RegExp][] = [
    ['of another line', JSON.stringify(['a'.repeat(64)]), /did not fit/],
    ['that are no JSON', '[', /was missing/],
  ];
  for (const [what, content, note] of rows) {
    it(`are made again: those ${what}`, async (context) => {
      const { tree, chain, top } = simpleTree(context);
      tree.writeImage(top, 'ancestry', content);
      const store = directoryStore(context);
      const report = await importTree(tree, store);
      assert.deepEqual(report.broken, []);
      assert.match(report.notes[0]?.note ?? '', note);
      await expectChain(store, chain);
    });
  }
});

describe('names and tags of an old tree', () => {
  const rows: [directory: string, file: string, stored: [string, string] | RegExp][] = [
    ['one/two%252Fthree', 'tag_v1', ['one/two/three', 'v1']],
    ['one/two-three', 'tag_v1.0', ['one/two-three', 'v1.0']],
    ['Team/app', 'tag_v1', /invalid repository name/],
    ['team/a%2520b', 'tag_v1', /invalid repository name/],
    ['team/%25', 'tag_v1', /not encoded right/],
    ['team/app', 'tag_v%2F1', /its name is not one of/],
    ['team/app', 'tag_a+b', /its name is not one of/],
    ['team/app', `tag_${'x'.repeat(129)}`, /its name is not one of/],
  ];
  for (const [directory, file, stored] of rows) {
    it(`takes or reports repositories/${directory}/${file.slice(0, 20)}`, async (context) => {
      const tree = new OldTree(temporaryDirectory(context));
      const top = tree.addChain(makeV1Chain({ seed: 6, layers: 1 }));
      tree.writeRepository(directory, file, top);
      const store = directoryStore(context);
      const report = await importTree(tree, store);
      if (stored instanceof RegExp) assert.match(report.left[0]?.reason ?? '', stored);
      else {
        assert.deepEqual(report.left, []);
        assert.equal(await tagOf(store, ...stored), top);
      }
    });
  }

  it('tells the tag x_json from what is known of the tag _x', async (context) => {
    const info = '{"docker_version": "1.0.0"}';
    const tree = new OldTree(temporaryDirectory(context));
    const top = tree.addChain(makeV1Chain({ seed: 6, layers: 1 }));
    tree.writeRepository('team/a', 'tag__x', top);
    tree.writeRepository('team/a', 'tag_x_json', info);
    tree.writeRepository('team/b', 'tag__x', top);
    tree.writeRepository('team/b', 'tag_x_json', top);
    const store = directoryStore(context);
    const report = await importTree(tree, store);
    assert.deepEqual(report.left, []);
    const a = store.repository(parseRepositoryName('team/a')).v1;
    const b = store.repository(parseRepositoryName('team/b')).v1;
    assert.deepEqual([...(await a.tags()).keys()], ['_x']);
    assert.equal((await a.readRecord('tag-info/_x'))?.toString(), info);
    assert.deepEqual([...(await b.tags()).keys()], ['_x', 'x_json']);
  });

  it('reports tag files that hold no image ID', async (context) => {
    const { tree } = simpleTree(context);
    tree.writeRepository('library/busybox', 'tag_odd', 'not an id');
    const report = await importTree(tree, directoryStore(context));
    assert.deepEqual(report.left, [
      { what: 'library/busybox tag_odd', reason: 'its content is no image ID' },
    ]);
  });

  it('takes images whose ids have 16 digits', async (context) => {
    const tree = new OldTree(temporaryDirectory(context));
    const [image] = makeV1Chain({ seed: 8, layers: 1 });
    const id = '0123456789abcdef';
    const old = { ...(image as V1Image), id, json: Buffer.from(`{"id": "${id}"}`) };
    tree.writeRepository('team/app', 'tag_v1', tree.addChain([old]));
    const store = directoryStore(context);
    assert.deepEqual((await importTree(tree, store)).broken, []);
    await expectChain(store, [old]);
    assert.equal(await tagOf(store, 'team/app', 'v1'), id);
  });

  it('does not put an image over another of the same id', async (context) => {
    const { tree, chain } = simpleTree(context);
    const store = directoryStore(context);
    await importTree(tree, store);
    const other = simpleTree(context);
    const base = other.chain[0] as V1Image;
    const json = Buffer.concat([base.json, Buffer.from('\n')]);
    other.tree.addChain([{ ...base, json }]);
    const report = await importTree(other.tree, store);
    assert.match(report.broken.find(({ id }) => id === base.id)?.reason ?? '', /another JSON/);
    assert.equal(report.broken.length, 3);
    await expectChain(store, chain);
  });
});
