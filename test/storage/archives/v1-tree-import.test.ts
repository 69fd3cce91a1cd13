import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type TreeImportOptions, wasImported } from '../../../storage/archives/v1-tree-import.ts';
import { parseRepositoryName, parseTag, type V1ImageId } from '../../../storage/names.ts';
import { makeV1Chain } from '../../support/images.ts';
import { expectChain, importTree, simpleTree, tagOf } from '../../support/old-tree-import.ts';
import { directoryStore, memoryStore } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('importing an old tree', () => {
  it('brings in images, tags and their V2 form', async (context) => {
    const { tree, chain, top } = simpleTree(context);
    const store = directoryStore(context);
    const report = await importTree(tree, store);
    assert.deepEqual(report.images, { imported: 3, present: 0 });
    assert.deepEqual([report.broken, report.left, report.notes], [[], [], []]);
    assert.equal(
      report.layers.bytes,
      chain.reduce((sum, { layer }) => sum + layer.length, 0),
    );
    await expectChain(store, chain);
    assert.equal(await tagOf(store, 'busybox', 'latest'), top);
    const repository = store.repository(parseRepositoryName('busybox'));
    assert.equal((await repository.resolveTag(parseTag('latest')))?.layers.length, 3);
    assert.deepEqual(await store.catalog.all(), ['busybox']);
  });

  it('links layers on the same file system, and copies them where it is told to', async (context) => {
    const { tree, chain } = simpleTree(context);
    const linking = directoryStore(context);
    assert.equal((await importTree(tree, linking)).layers.linked, 3);
    const file = join(tree.root, 'images', chain[0]?.id ?? '', 'layer');
    assert.equal(statSync(file).nlink, 2);
    const copying = directoryStore(context);
    assert.equal((await importTree(tree, copying, { link: false })).layers.copied, 3);
    assert.equal(statSync(file).nlink, 2);
    await expectChain(copying, chain);
  });

  it('copies a layer that is a symbolic link', async (context) => {
    const { tree, chain } = simpleTree(context);
    const layer = join(tree.root, 'images', chain[1]?.id ?? '', 'layer');
    const elsewhere = join(tree.root, 'elsewhere');
    writeFileSync(elsewhere, readFileSync(layer));
    rmSync(layer);
    symlinkSync(elsewhere, layer);
    const store = directoryStore(context);
    const report = await importTree(tree, store);
    assert.deepEqual([report.layers.linked, report.layers.copied], [2, 1]);
    await expectChain(store, chain);
  });

  it('copies into a store without local files', async (context) => {
    const { tree, chain } = simpleTree(context);
    const store = memoryStore(context);
    assert.equal((await importTree(tree, store)).layers.copied, 3);
    await expectChain(store, chain);
  });

  it('brings a tree into the very directory that it lies in', async (context) => {
    const { tree, chain } = simpleTree(context);
    const store = directoryStore(context, tree.root);
    assert.equal(await wasImported(store, tree.root), false);
    await importTree(tree, store);
    assert.equal(await wasImported(store, tree.root), true);
    rmSync(join(tree.root, 'images'), { recursive: true });
    rmSync(join(tree.root, 'repositories'), { recursive: true });
    await expectChain(store, chain);
  });

  it('skips what is there when it is run again', async (context) => {
    const { tree } = simpleTree(context);
    const store = directoryStore(context);
    await importTree(tree, store);
    const again = await importTree(tree, store);
    assert.deepEqual(again.images, { imported: 0, present: 3 });
    assert.deepEqual(again.tags, { imported: 0, present: 1 });
    assert.equal(again.layers.bytes, 0);
  });

  it('only says what it would do in a dry run', async (context) => {
    const { tree, chain } = simpleTree(context);
    const root = temporaryDirectory(context);
    const store = directoryStore(context, root);
    const report = await importTree(tree, store, { dryRun: true });
    assert.deepEqual(report.images, { imported: 3, present: 0 });
    assert.equal(
      report.layers.bytes,
      chain.reduce((sum, { layer }) => sum + layer.length, 0),
    );
    assert.equal(report.tags.imported, 1);
    assert.equal(existsSync(join(root, 'docker')), false);
  });

  it('leaves images of no tag, or brings them in when asked', async (context) => {
    const { tree } = simpleTree(context);
    const orphans = makeV1Chain({ seed: 77, layers: 2 });
    const top = tree.addChain(orphans);
    tree.writeRepository(
      'library/busybox',
      '_index_images',
      JSON.stringify([{ id: top, Tag: 'x' }]),
    );
    const without = directoryStore(context);
    const report = await importTree(tree, without);
    const bytes = orphans.reduce((sum, { layer }) => sum + layer.length, 0);
    assert.deepEqual(report.orphans, { count: 2, bytes });
    assert.equal(await without.explicit.get(top as V1ImageId), undefined);
    const withThem = directoryStore(context);
    assert.equal((await importTree(tree, withThem, { orphans: true })).images.imported, 5);
    await expectChain(withThem, orphans);
    const { v1 } = withThem.repository(parseRepositoryName('busybox'));
    assert.ok((await v1.images())?.some(({ id }) => id === top));
  });

  it('keeps what is known of a tag, and that a repository is private', async (context) => {
    const { tree, top } = simpleTree(context);
    const info = '{"last_update": 1400000000, "docker_version": "0.9.1", "os": "linux"}';
    tree.writeRepository('library/busybox', 'taglatest_json', info);
    tree.writeRepository('library/busybox', '_private', '');
    const store = directoryStore(context);
    await importTree(tree, store);
    const { v1 } = store.repository(parseRepositoryName('busybox'));
    assert.equal((await v1.readRecord('tag-info/latest'))?.toString(), info);
    assert.equal((await v1.readRecord('properties'))?.toString(), '{"access":"private"}');
    assert.equal(await v1.tag(parseTag('latest')), top);
  });

  it('leaves a tag that was moved here since, unless it may move it', async (context) => {
    const { tree, top } = simpleTree(context);
    const newer = simpleTree(context, 9);
    const store = directoryStore(context);
    await importTree(newer.tree, store);
    const report = await importTree(tree, store);
    assert.match(report.left[0]?.reason ?? '', /stored already and names/);
    assert.equal(await tagOf(store, 'busybox', 'latest'), newer.top);
    await importTree(tree, store, { moveTags: true });
    assert.equal(await tagOf(store, 'busybox', 'latest'), top);
  });

  it('gives library/x the name that its clients use', async (context) => {
    const { tree } = simpleTree(context);
    const store = directoryStore(context);
    const long = store.repository(parseRepositoryName('library/busybox'));
    await long.v1.announce([{ id: '0'.repeat(64) as V1ImageId }]);
    await importTree(tree, store);
    assert.deepEqual(await long.tags.all(), ['latest']);
    assert.equal(await store.repository(parseRepositoryName('busybox')).v1.exists(), false);
  });

  it('tells how far it is, up to all bytes', async (context) => {
    const { tree } = simpleTree(context);
    const seen: number[] = [];
    let total: number | undefined;
    const onProgress: TreeImportOptions['onProgress'] = (progress) => {
      seen.push(progress.done);
      total = progress.total;
    };
    await importTree(tree, directoryStore(context), { onProgress });
    assert.equal(seen.at(-1), total);
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    );
  });
});
