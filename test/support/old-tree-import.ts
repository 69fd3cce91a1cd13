import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { repositoryOf } from '../../protocols/v1/names.ts';
import type { TreeImportReport } from '../../storage/archives/import-report.ts';
import { V1Tree } from '../../storage/archives/v1-tree.ts';
import { type TreeImportOptions, V1TreeImport } from '../../storage/archives/v1-tree-import.ts';
import type { ContentStore } from '../../storage/content-store.ts';
import { parseRepositoryName, parseTag, type V1ImageId } from '../../storage/names.ts';
import { makeV1Chain, type V1Image } from './images.ts';
import { OldTree } from './old-tree.ts';
import { bytesOf, everything } from './stores.ts';
import { temporaryDirectory } from './temporary.ts';

type Options = Partial<TreeImportOptions>;

/** Imports a tree into a store, as `isthmus import` does. */
export function importTree(tree: OldTree, store: ContentStore, options: Options = {}) {
  return new V1TreeImport(new V1Tree(tree.root), store, {
    nameOf: (path) => repositoryOf(store, path),
    ...options,
  }).run();
}

/** A tree with one chain of three under busybox:latest, base first. */
export function simpleTree(
  context: TestContext,
  seed = 1,
): { tree: OldTree; chain: V1Image[]; top: string } {
  const tree = new OldTree(temporaryDirectory(context));
  const chain = makeV1Chain({ seed, layers: 3 });
  const top = tree.addChain(chain);
  tree.writeRepository('library/busybox', 'tag_latest', top);
  return { tree, chain, top };
}

/** The image ID that a tag names over V1; undefined where there is no such tag. */
export function tagOf(store: ContentStore, name: string, tag: string) {
  return store.repository(parseRepositoryName(name)).v1.tag(parseTag(tag));
}

/** Asserts that a store has the chain, byte for byte. */
export async function expectChain(store: ContentStore, chain: readonly V1Image[]): Promise<void> {
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

/** Why the import left something out. */
export function leftOf(report: TreeImportReport, what: string): string {
  return report.left.find((each) => each.what === what)?.reason ?? 'not left out';
}
