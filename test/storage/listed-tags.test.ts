import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContentStore } from '../../storage/content-store.ts';
import type { Digest } from '../../storage/digest.ts';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import type { RepositoryName, Tag } from '../../storage/names.ts';
import { tagLink } from '../../storage/paths.ts';

const DIGEST = `sha256:${'1'.repeat(64)}` as Digest;
const NAME = 'team/app' as RepositoryName;
/** Longer than a directory must be untouched until its listing is kept. */
const SETTLE_MS = 150;

describe('the list of tags, whose links are not looked for again', () => {
  const root = mkdtempSync(join(tmpdir(), 'listed-tags-'));
  after(() => rmSync(root, { recursive: true }));
  const open = () =>
    new ContentStore(new FilesystemDriver({ root, fsync: false })).repository(NAME).tags;
  // As two workers have them.
  const ours = open();
  const theirs = open();
  const known = async () => {
    await ours.all();
    await sleep(SETTLE_MS);
    return ours.all();
  };

  it('follows what another worker sets and deletes', async () => {
    await theirs.set('a' as Tag, DIGEST);
    await theirs.set('b' as Tag, DIGEST);
    assert.deepEqual(await known(), ['a', 'b']);
    await theirs.delete('a' as Tag);
    assert.deepEqual(await ours.all(), ['b']);
    assert.deepEqual(await known(), ['b']);
    await theirs.set('a' as Tag, DIGEST);
    assert.deepEqual(await ours.all(), ['a', 'b']);
  });

  it('leaves out a tag that is being set until its link is there, which does not change the listing', async () => {
    mkdirSync(dirname(join(root, tagLink(NAME, 'c' as Tag))), { recursive: true });
    assert.deepEqual(await known(), ['a', 'b']);
    await theirs.set('c' as Tag, DIGEST);
    assert.deepEqual(await ours.all(), ['a', 'b', 'c']);
  });

  it('pages from any name, also one that is no tag', async () => {
    const page = async (last: string, count: number) => {
      const { items, more } = await ours.page(last, count);
      return [...items, more];
    };
    assert.deepEqual(await page('', 2), ['a', 'b', true]);
    assert.deepEqual(await page('a', 2), ['b', 'c', false]);
    assert.deepEqual(await page('a~', 1), ['b', true]);
    assert.deepEqual(await page('c', 1), [false]);
    assert.deepEqual(await page('', 0), [true]);
  });
});
