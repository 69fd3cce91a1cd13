import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { V1ImageId } from '../../../storage/names.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import type { OldTree } from '../../support/old-tree.ts';
import {
  expectChain,
  importTree,
  leftOf,
  simpleTree,
  tagOf,
} from '../../support/old-tree-import.ts';
import { directoryStore } from '../../support/stores.ts';

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
