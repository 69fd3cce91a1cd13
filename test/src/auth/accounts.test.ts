import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { RefusalError } from '../../../protocols/registry.ts';
import { Accounts } from '../../../src/auth/accounts.ts';
import { FailureLimit } from '../../../src/auth/failure-limit.ts';
import { HtpasswdFile } from '../../../src/auth/htpasswd.ts';
import { ANN_CHANGED, HTPASSWD, recordingLog, temporaryFile } from '../../support/auth-registry.ts';

const HIGH_COST = `olga:$2b$10$abcdefghijklmnopqrstuu${'c'.repeat(31)}`;

function accountsOf(lines: string[], perMinute = 0) {
  const path = temporaryFile('htpasswd', `${lines.join('\n')}\n`);
  const clock = { now: Date.now() };
  const accounts = new Accounts(
    new HtpasswdFile(path, recordingLog(), clock.now),
    new FailureLimit(perMinute),
    randomBytes(32),
    () => clock.now,
  );
  return { path, clock, accounts };
}

async function retryAfter(attempt: Promise<boolean>): Promise<number | undefined> {
  try {
    await attempt;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof RefusalError);
    assert.equal(error.code, 'TOOMANYREQUESTS');
    return Number(error.headers['Retry-After']);
  }
}

describe('accounts', () => {
  it('know right passwords from wrong ones and unknown names', async () => {
    const { accounts } = accountsOf([HTPASSWD.ann, HTPASSWD.bob, HTPASSWD.carol, HTPASSWD.dave]);
    for (const name of ['ann', 'bob', 'carol']) {
      assert.equal(await accounts.check(name, `secret-${name}`, '192.0.2.1'), true, name);
      assert.equal(await accounts.check(name, 'secret', '192.0.2.1'), false, name);
    }
    assert.equal(await accounts.check('dave', 'secret-dave', '192.0.2.1'), false);
    assert.equal(await accounts.check('nobody', 'secret', '192.0.2.1'), false);
  });

  it('take as long for an unknown name as the costliest account does', async () => {
    const { accounts } = accountsOf([HTPASSWD.ann, HIGH_COST]);
    const time = async (user: string) => {
      const started = performance.now();
      assert.equal(await accounts.check(user, 'wrong', '192.0.2.1'), false);
      return performance.now() - started;
    };
    const [unknown, costly] = [await time('nobody'), await time('olga')];
    assert.ok(costly > 10, `${costly} ms for olga`);
    assert.ok(unknown > costly / 3, `${unknown} ms for nobody, ${costly} ms for olga`);
  });

  it('leave the event loop free while they hash', async () => {
    const { accounts } = accountsOf([HIGH_COST.replace('$10$', '$12$')]);
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 2);
    await accounts.check('olga', 'wrong', '192.0.2.1');
    clearInterval(timer);
    assert.ok(turns > 5, `${turns} turns`);
  });

  it('let an address try a few passwords a minute, and say when to come again', async () => {
    const { accounts, clock } = accountsOf([HTPASSWD.ann], 3);
    for (const user of ['a', 'b', 'c']) await accounts.check(user, 'wrong', '192.0.2.7');
    clock.now += 20_000;
    assert.equal(await retryAfter(accounts.check('ann', 'secret-ann', '192.0.2.7')), 40);
    assert.equal(await accounts.check('ann', 'secret-ann', '192.0.2.8'), true);
    clock.now += 40_001;
    assert.equal(await accounts.check('ann', 'secret-ann', '192.0.2.7'), true);
  });

  it('let a few passwords be tried for a name, from whatever addresses', async () => {
    const { accounts } = accountsOf([HTPASSWD.ann], 3);
    for (const last of [1, 2, 3]) await accounts.check('ann', 'wrong', `192.0.2.${last}`);
    assert.equal(await retryAfter(accounts.check('ann', 'wrong', '192.0.2.4')), 60);
    assert.equal(await accounts.check('bob', 'wrong', '192.0.2.4'), false);
  });

  it('count a whole IPv6 network, and an IPv4 address in either form, as one address', async () => {
    const pairs: [string, string, boolean][] = [
      ['2001:db8::1', '2001:0DB8:0:0:ffff::2', true],
      ['2001:db8:0:1::1', '2001:db8::1', false],
      ['::ffff:192.0.2.1', '192.0.2.1', true],
      ['fe80::1%eth0', 'fe80::2', true],
    ];
    for (const [one, other, same] of pairs) {
      const { accounts } = accountsOf([HTPASSWD.ann], 1);
      await accounts.check('a', 'wrong', one);
      const refused = (await retryAfter(accounts.check('b', 'wrong', other))) !== undefined;
      assert.equal(refused, same, `${one} and ${other}`);
    }
  });

  it('do not let many attempts at once slip past the limit', async () => {
    const { accounts } = accountsOf([HTPASSWD.ann], 3);
    const attempts = Array.from({ length: 30 }, (_, at) =>
      retryAfter(accounts.check('ann', `guess ${at}`, '192.0.2.1')),
    );
    const hashed = (await Promise.all(attempts)).filter((seconds) => seconds === undefined);
    assert.ok(hashed.length <= 4, `${hashed.length} guesses were answered`);
  });

  it('never count a right password', async () => {
    const { accounts } = accountsOf([HTPASSWD.ann], 1);
    for (let at = 0; at < 5; at += 1) {
      assert.equal(await accounts.check('ann', 'secret-ann', '192.0.2.1'), true);
    }
  });

  it('refuse a flood of logins rather than queue it for ever', async () => {
    const { accounts } = accountsOf([HTPASSWD.carol]);
    const attempts = Array.from({ length: 300 }, () =>
      retryAfter(accounts.check('carol', 'secret-carol', '192.0.2.1')),
    );
    const refused = (await Promise.all(attempts)).filter((seconds) => seconds !== undefined);
    assert.deepEqual(refused, Array(300 - 258).fill(1));
  });

  it('mark the state of an account, which a new password changes', () => {
    const { accounts, path, clock } = accountsOf([HTPASSWD.ann, HTPASSWD.bob]);
    const state = accounts.stateOf('ann');
    const before = accounts.refresh();
    assert.match(state ?? '', /^[\w-]{16}$/);
    assert.notEqual(state, accounts.stateOf('bob'));
    writeFileSync(path, `${ANN_CHANGED}\n`);
    clock.now += 1001;
    assert.notEqual(accounts.refresh(), before);
    assert.notEqual(accounts.stateOf('ann'), state);
    assert.equal(accounts.stateOf('bob'), undefined);
  });
});
