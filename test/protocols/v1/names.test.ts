import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { longForm, repositoryOf } from '../../../protocols/v1/names.ts';
import { ContentStore } from '../../../storage/content-store.ts';
import { checked } from '../../../storage/drivers/checked.ts';
import { MemoryDriver } from '../../../storage/drivers/memory.ts';
import type { RepositoryName } from '../../../storage/names.ts';

describe('the repository that a V1 path means', () => {
  let content: ContentStore;
  before(async () => {
    content = new ContentStore(checked(new MemoryDriver()));
    for (const name of ['both', 'library/both', 'short', 'library/long', 'a/b/c']) {
      await content.repository(name as RepositoryName).v1.announce([]);
    }
  });

  const rows: [string, string][] = [
    ['short', 'short'],
    ['library/short', 'short'],
    ['library/short/', 'short'],
    ['library/long', 'library/long'],
    ['long', 'long'],
    ['library/both', 'both'],
    ['both', 'both'],
    ['new', 'new'],
    ['library/new', 'new'],
    ['library', 'library'],
    ['library/a/b', 'library/a/b'],
    ['a/b/c', 'a/b/c'],
    ['team/app/', 'team/app'],
  ];
  for (const [path, name] of rows) {
    it(`is ${name} for ${path}`, async () => assert.equal(await repositoryOf(content, path), name));
  }

  for (const path of ['', '/', 'a//', 'A', 'a b', '../x', 'library//x', 'a/./b', 'é', 'a\0']) {
    it(`is none for ${JSON.stringify(path)}`, async () => {
      await assert.rejects(repositoryOf(content, path), { code: 'NAME_INVALID' });
    });
  }

  it('is always written with a namespace', () => {
    assert.equal(longForm('ubuntu' as RepositoryName), 'library/ubuntu');
    assert.equal(longForm('a/b' as RepositoryName), 'a/b');
  });
});
