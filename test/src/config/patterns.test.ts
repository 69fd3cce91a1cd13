import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRepositoryPattern, repositoryMatcher } from '../../../src/config/patterns.ts';

const MATCHES: [string, string, boolean][] = [
  ['**', 'a/b/c', true],
  ['team/*', 'team/a', true],
  ['team/*', 'team/a/b', false],
  ['team/**', 'team/a/b', true],
  ['team/**', 'team', false],
  ['team/**', 'teams/a', false],
  ['*', 'a', true],
  ['*', 'a/b', false],
  ['a.b', 'axb', false],
  ['**/base', 'x/y/base', true],
  ['lib*', 'library', true],
];

for (const [pattern, name, expected] of MATCHES) {
  test(`${pattern} ${expected ? 'matches' : 'does not match'} ${name}`, () => {
    assert.ok(isRepositoryPattern(pattern));
    assert.equal(repositoryMatcher(pattern)(name), expected);
  });
}

test('is no pattern with upper case, blanks, or ** inside a component', () => {
  for (const each of ['A', 'a b', 'a**', '', '/a', 'a//b', '../a**'])
    assert.equal(isRepositoryPattern(each), false, each);
});
