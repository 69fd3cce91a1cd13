import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  decodePart,
  directoryOf,
  encodePart,
  repositoryPathOf,
} from '../../../storage/archives/v1-tree-names.ts';

describe('names of an old tree', () => {
  const rows: [name: string, namespace: string, repository: string, path: string][] = [
    ['ubuntu', 'library', 'ubuntu', 'library/ubuntu'],
    ['team/app', 'team', 'app', 'team/app'],
    ['one/two/three', 'one', 'two%252Fthree', 'one/two/three'],
    ['a b/C~d', 'a+b', 'C%257Ed', 'a b/C~d'],
    ['x/..', 'x', '%25252E%25252E', 'x/%2E%2E'],
    ["y/it's", 'y', 'it%2527s', "y/it's"],
    ['z/日本', 'z', '%25E6%2597%25A5%25E6%259C%25AC', 'z/日本'],
  ];
  for (const [name, namespace, repository, path] of rows) {
    it(`keeps ${name} at ${namespace}/${repository}`, () => {
      assert.deepEqual(directoryOf(name), { namespace, repository });
      assert.equal(repositoryPathOf({ namespace, repository }), path);
    });
  }

  it('encodes tags once', () => {
    assert.equal(encodePart('v1.0_a-b'), 'v1.0_a-b');
    assert.equal(encodePart('a b/(c)!*'), 'a+b%2F%28c%29%21%2A');
    assert.equal(decodePart('a+b%2F%28c%29%21%2A'), 'a b/(c)!*');
  });

  it('knows what is no encoding', () => {
    assert.equal(decodePart('%'), undefined);
    assert.equal(repositoryPathOf({ namespace: 'a', repository: '%25%' }), undefined);
  });
});
