import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { repositoryOf } from '../../../protocols/v1/names.ts';
import type { TreeImportReport } from '../../../storage/archives/import-report.ts';
import { V1Tree } from '../../../storage/archives/v1-tree.ts';
import { V1TreeExport } from '../../../storage/archives/v1-tree-export.ts';
import {
  type TreeImportOptions,
  V1TreeImport,
  wasImported,
} from '../../../storage/archives/v1-tree-import.ts';
import type { ContentStore } from '../../../storage/content-store.ts';
import { parseRepositoryName, parseTag, type V1ImageId } from '../../../storage/names.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import { OldTree, payloadSum } from '../../support/old-tree.ts';
import { bytesOf, directoryStore, everything, memoryStore } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

type Options = Partial<TreeImportOptions>;

function importTree(tree: OldTree, store: ContentStore, options: Options = {}) {
  return new V1TreeImport(new V1Tree(tree.root), store, {
    nameOf: (path) => repositoryOf(store, path),
    ...options,
  }).run();
}

/** A tree with one chain of three under busybox:latest, base first. */
function simpleTree(
  context: TestContext,
  seed = 1,
): { tree: OldTree; chain: V1Image[]; top: string } {
  const tree = new OldTree(temporaryDirectory(context));
  const chain = makeV1Chain({ seed, layers: 3 });
  const top = tree.addChain(chain);
  tree.writeRepository('library/busybox', 'tag_latest', top);
  return { tree, chain, top };
}

function tagOf(store: ContentStore, name: string, tag: string) {
  return store.repository(parseRepositoryName(name)).v1.tag(parseTag(tag));
}

async function expectChain(store: ContentStore, chain: readonly V1Image[]): Promise<void> {
  for (const [at, { id, json, layer }] of chain.entries()) {
    const image = await store.v1.image(id as V1ImageId, everything);
    assert.deepEqual(image.json, json);
    assert.deepEqual(await bytesOf(await image.layer.open()), layer);
    assert.deepEqual(
      image.ancestry,
      chain
        .slice(0, at + 1)
        .map((each) => each.id)
        .reverse(),
    );
  }
}

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

interface BrokenRow {
  what: string;
  /** Breaks a tree with a whole chain, base first. */
  breaks(tree: OldTree, chain: V1Image[]): void;
  /** Which images are then of no use, by their place in the chain, and why the first is. */
  broken: number[];
  reason: RegExp;
}

const parentOf = (json: Buffer, parent: string): string =>
  JSON.stringify({ ...(JSON.parse(json.toString()) as object), parent });

const BROKEN: BrokenRow[] = [
  {
    what: 'a parent that is missing',
    breaks: (tree, [base]) =>
      rmSync(join(tree.root, 'images', base?.id ?? ''), { recursive: true }),
    broken: [1, 2],
    reason: /its parent [0-9a-f]{64} is missing/,
  },
  {
    what: 'a circle of parents',
    breaks: (tree, [base, middle]) =>
      tree.writeImage(base?.id ?? '', 'json', parentOf(base?.json as Buffer, middle?.id ?? '')),
    broken: [0, 1, 2],
    reason: /circle of 2/,
  },
  {
    what: 'an image that is its own parent',
    breaks: (tree, [base]) =>
      tree.writeImage(base?.id ?? '', 'json', parentOf(base?.json as Buffer, base?.id ?? '')),
    broken: [0, 1, 2],
    reason: /depends on itself/,
  },
  {
    what: 'a layer that is missing',
    breaks: (tree, [, middle]) => rmSync(join(tree.root, 'images', middle?.id ?? '', 'layer')),
    broken: [1, 2],
    reason: /its layer is missing/,
  },
  {
    what: 'a push that never ended',
    breaks: (tree, [, , top]) => tree.writeImage(top?.id ?? '', '_inprogress', 'true'),
    broken: [2],
    reason: /_inprogress/,
  },
  {
    what: 'a layer that changed on the disk',
    breaks: (tree, [, middle]) => {
      const layer = Buffer.from(middle?.layer as Buffer);
      layer[20] = (layer[20] ?? 0) ^ 1;
      tree.writeImage(middle?.id ?? '', 'layer', layer);
    },
    broken: [1, 2],
    reason: /checksum mismatch: stored is sha256:/,
  },
  {
    what: 'a wrong tarsum alone',
    breaks: (tree, [base]) =>
      tree.writeImage(base?.id ?? '', '_checksum', `tarsum+sha256:${'0'.repeat(64)}`),
    broken: [0, 1, 2],
    reason: /checksum mismatch: stored is tarsum/,
  },
  {
    what: 'JSON that is missing',
    breaks: (tree, [, middle]) => rmSync(join(tree.root, 'images', middle?.id ?? '', 'json')),
    broken: [1, 2],
    reason: /its JSON is missing/,
  },
  {
    what: 'an empty JSON file',
    breaks: (tree, [, , top]) => tree.writeImage(top?.id ?? '', 'json', ''),
    broken: [2],
    reason: /Invalid JSON/,
  },
  {
    what: 'a layer that was cut to nothing',
    breaks: (tree, [, middle]) => tree.writeImage(middle?.id ?? '', 'layer', ''),
    broken: [1, 2],
    reason: /checksum mismatch: stored is sha256:/,
  },
  {
    what: 'a push that was broken off below others',
    breaks: (tree, [base]) => tree.writeImage(base?.id ?? '', '_inprogress', 'true'),
    broken: [0, 1, 2],
    reason: /_inprogress/,
  },
  {
    what: 'a layer that is a folder',
    breaks: (tree, [, , top]) => {
      const layer = join(tree.root, 'images', top?.id ?? '', 'layer');
      rmSync(layer);
      mkdirSync(layer);
    },
    broken: [2],
    reason: /its layer is missing/,
  },
  {
    what: 'a layer whose link leads nowhere',
    breaks: (tree, [, , top]) => {
      const layer = join(tree.root, 'images', top?.id ?? '', 'layer');
      rmSync(layer);
      symlinkSync('/nowhere/at/all', layer);
    },
    broken: [2],
    reason: /its layer is missing/,
  },
  {
    what: 'a layer whose link leads in a circle',
    breaks: (tree, [, , top]) => {
      const layer = join(tree.root, 'images', top?.id ?? '', 'layer');
      rmSync(layer);
      symlinkSync('layer', layer);
    },
    broken: [2],
    reason: /its layer is missing|ELOOP/,
  },
  {
    what: 'an image whose folder is a file',
    breaks: (tree, [, , top]) => {
      const folder = join(tree.root, 'images', top?.id ?? '');
      rmSync(folder, { recursive: true });
      writeFileSync(folder, 'no folder');
    },
    broken: [2],
    reason: /not a directory/,
  },
  {
    what: 'JSON that is none',
    breaks: (tree, [, , top]) => tree.writeImage(top?.id ?? '', 'json', '{"id": '),
    broken: [2],
    reason: /Invalid JSON/,
  },
  {
    what: 'JSON of another image',
    breaks: (tree, [, , top]) =>
      tree.writeImage(top?.id ?? '', 'json', `{"id":"${'a'.repeat(64)}"}`),
    broken: [2],
    reason: /contains invalid id/,
  },
];

describe('what is broken in an old tree', () => {
  for (const { what, breaks, broken, reason } of BROKEN) {
    it(`is listed and skipped: ${what}`, async (context) => {
      const { tree, chain } = simpleTree(context);
      const sound = makeV1Chain({ seed: 50, layers: 2 });
      tree.writeRepository('team/sound', 'tag_v1', tree.addChain(sound));
      breaks(tree, chain);
      const store = directoryStore(context);
      const report = await importTree(tree, store);
      const expected = broken
        .map((at) => chain[at]?.id ?? '')
        .filter((id) => existsSync(join(tree.root, 'images', id)));
      assert.deepEqual(report.broken.map(({ id }) => id).sort(), expected.sort());
      const first = report.broken.find(({ id }) => id === chain[broken[0] ?? 0]?.id);
      assert.match(first?.reason ?? '', reason);
      for (const id of expected) assert.equal(await store.explicit.get(id as V1ImageId), undefined);
      assert.match(leftOf(report, 'library/busybox:latest'), reason);
      assert.equal(await tagOf(store, 'busybox', 'latest'), undefined);
      await expectChain(store, sound);
    });
  }
});

function leftOf(report: TreeImportReport, what: string): string {
  return report.left.find((each) => each.what === what)?.reason ?? 'not left out';
}

describe('what names nothing in an old tree', () => {
  const rows: [what: string, make: (tree: OldTree, chain: V1Image[]) => void, reason: RegExp][] = [
    [
      'a tag of an image that is missing',
      (tree) => tree.writeRepository('team/odd', 'tag_v1', 'e'.repeat(64)),
      /image e{64}: it is missing/,
    ],
    ['an empty tag file', (tree) => tree.writeRepository('team/odd', 'tag_v1', ''), /no image ID/],
    [
      'a tag that is a folder',
      (tree) => tree.writeRepository('team/odd', 'tag_v1/x', ''),
      /no image ID/,
    ],
    [
      'a tag whose link leads in a circle',
      (tree) => {
        tree.writeRepository('team/odd', '_private', '');
        symlinkSync('tag_v1', join(tree.root, 'repositories/team/odd/tag_v1'));
      },
      /no image ID/,
    ],
  ];
  for (const [what, make, reason] of rows) {
    it(`is listed and skipped: ${what}`, async (context) => {
      const { tree, chain, top } = simpleTree(context);
      make(tree, chain);
      const store = directoryStore(context);
      const report = await importTree(tree, store);
      assert.match(
        report.left.map(({ what: name, reason: why }) => `${name} ${why}`).join('\n'),
        reason,
      );
      assert.match(report.left[0]?.what ?? '', /team\/odd/);
      assert.deepEqual(report.broken, []);
      assert.equal(await tagOf(store, 'busybox', 'latest'), top);
      assert.equal(await tagOf(store, 'team/odd', 'v1'), undefined);
    });
  }

  it('is passed over: names that no image has, links in a circle, files in the place of folders', async (context) => {
    const { tree, top } = simpleTree(context);
    for (const name of ['A'.repeat(64), 'f'.repeat(63), `${'f'.repeat(64)}.tmp`, '..x']) {
      tree.writeImage(name, 'json', '{}');
    }
    symlinkSync('circle', join(tree.root, 'repositories/circle'));
    symlinkSync('circle', join(tree.root, 'repositories/library/circle'));
    writeFileSync(join(tree.root, 'repositories/stray'), '');
    writeFileSync(join(tree.root, 'repositories/library/stray'), '');
    const store = directoryStore(context);
    const report = await importTree(tree, store);
    assert.deepEqual(report.broken, []);
    assert.equal(report.images.imported, 3);
    assert.equal(await tagOf(store, 'busybox', 'latest'), top);
  });
});

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
