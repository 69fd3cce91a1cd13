import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AccessRules } from '../../../src/auth/rules.ts';
import { ALL_ACTIONS, EVERY_USER, rule } from '../../support/auth-registry.ts';

const GROUPS = { team: ['ann', 'bob'], ops: ['olga'] };
const RULES = new AccessRules(
  [
    rule({ repositories: ['public/**', 'ubuntu'], anonymous: true, actions: ['pull'] }),
    rule({ repositories: ['team/*', 'lib-*'], groups: ['team'], actions: ['pull', 'push'] }),
    rule({ repositories: ['deep/**/leaf'], users: ['bob'], actions: ['push'] }),
    rule({ repositories: ['shared/a'], users: ['*'], actions: ['pull', 'catalog'] }),
    rule({ users: ['root'], groups: ['ops'], actions: ALL_ACTIONS }),
  ],
  GROUPS,
);

type Row = [
  user: string | undefined,
  action: 'pull' | 'push' | 'delete',
  name: string,
  may: boolean,
];

const ROWS: Row[] = [
  [undefined, 'pull', 'public/a', true],
  [undefined, 'pull', 'public/a/b', true],
  [undefined, 'pull', 'public', false],
  [undefined, 'pull', 'publicity/a', false],
  [undefined, 'pull', 'ubuntu', true],
  [undefined, 'pull', 'ubuntu/a', false],
  [undefined, 'pull', 'a/ubuntu', false],
  [undefined, 'push', 'public/a', false],
  [undefined, 'pull', 'shared/a', false],
  [undefined, 'pull', 'team/a', false],
  ['ann', 'pull', 'public/a', true],
  ['ann', 'pull', 'team/a', true],
  ['ann', 'push', 'team/a', true],
  ['ann', 'delete', 'team/a', false],
  ['ann', 'push', 'team/a/b', false],
  ['ann', 'push', 'team', false],
  ['ann', 'push', 'lib-core', true],
  ['ann', 'push', 'lib.core', false],
  ['ann', 'push', 'deep/x/leaf', false],
  ['bob', 'push', 'deep/x/leaf', true],
  ['bob', 'push', 'deep/x/y/leaf', true],
  ['bob', 'push', 'deep/leaf', false],
  ['bob', 'pull', 'deep/x/leaf', false],
  ['zoe', 'pull', 'shared/a', true],
  ['zoe', 'pull', 'team/a', false],
  ['olga', 'delete', 'any/thing/at/all', true],
  ['root', 'push', 'x', true],
  ['team', 'push', 'team/a', false],
  ['*', 'push', 'x', false],
  ['', 'pull', 'team/a', false],
];

describe('access rules', () => {
  for (const [user, action, name, may] of ROWS) {
    it(`${may ? 'let' : 'do not let'} ${user ?? 'anybody'} ${action} ${name}`, () => {
      assert.equal(RULES.of(user).may({ type: 'repository', name, action }), may);
    });
  }

  it('open the catalog by an action of its own', () => {
    const may = (user: string | undefined) => RULES.of(user).may({ type: 'catalog' });
    assert.deepEqual([undefined, 'zoe', 'root'].map(may), [false, true, true]);
  });

  it('tell whether any is for anyone, and any for users', () => {
    assert.deepEqual([RULES.grantsAnonymous, RULES.grantsUsers], [true, true]);
    const users = new AccessRules([EVERY_USER], {});
    assert.deepEqual([users.grantsAnonymous, users.grantsUsers], [false, true]);
    const none = new AccessRules([], {});
    assert.deepEqual([none.grantsAnonymous, none.grantsUsers], [false, false]);
    assert.equal(none.of('ann').may({ type: 'repository', name: 'a', action: 'pull' }), false);
  });
});
