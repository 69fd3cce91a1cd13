import assert from 'node:assert/strict';
import { utimesSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Access,
  type AccessRequest,
  ChallengeError,
  type Session,
} from '../../../protocols/registry.ts';
import { createAccessControl } from '../../../src/auth/create-access-control.ts';
import type { AuthConfig } from '../../../src/config/auth.ts';
import { RegistryError } from '../../../storage/errors.ts';
import {
  ANN_CHANGED,
  basic,
  EVERY_USER,
  HTPASSWD,
  memory,
  recordingLog,
  request,
  rule,
  settings,
  temporaryFile,
} from '../../support/auth-registry.ts';

const on = (name: string, action: 'pull' | 'push' | 'delete'): Access => ({
  type: 'repository',
  name,
  action,
});
const PULL = [on('team/app', 'pull')];
const PUSH = [on('team/app', 'pull'), on('team/app', 'push')];
const TEAM = rule({ repositories: ['team/*'], users: ['ann'], actions: ['pull', 'push'] });
const PUBLIC = rule({ repositories: ['public/*'], anonymous: true, actions: ['pull'] });

async function accessWith(auth: Partial<AuthConfig> = {}, lines = [HTPASSWD.ann, HTPASSWD.carol]) {
  const path = temporaryFile('htpasswd', `${lines.join('\n')}\n`);
  // Old enough to be believed by its stamp.
  utimesSync(path, 1, 1);
  const from = settings({ htpasswd: { path }, ...auth });
  const access = await createAccessControl(from, memory(), recordingLog());
  return { access, path, from };
}

type Control = Awaited<ReturnType<typeof accessWith>>['access'];

/** `user` of the session, or the code of the refusal and its challenge. */
async function outcome(
  access: Control,
  from: AccessRequest,
  wanted: readonly Access[],
): Promise<string> {
  try {
    return `session of ${(await access.authorize(from, wanted)).user ?? 'nobody'}`;
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    return error instanceof ChallengeError
      ? `${error.code} ${error.headers['WWW-Authenticate']}`
      : error.code;
  }
}

const BEARER = 'UNAUTHORIZED Bearer realm="http://registry.test/auth/token",service="registry"';

describe('access by accounts over V2', () => {
  it('lets every user do everything where there are no rules', async () => {
    const { access } = await accessWith();
    assert.equal(await outcome(access, request('v2', basic('ann')), PUSH), 'session of ann');
    const all = [on('x', 'delete'), { type: 'catalog' as const }];
    assert.equal(await outcome(access, request('v2', basic('carol')), all), 'session of carol');
  });

  const refused: [why: string, header: string | undefined, wanted: Access[], expected: string][] = [
    ['nothing', undefined, [], BEARER],
    ['nothing', undefined, PUSH, `${BEARER},scope="repository:team/app:pull,push"`],
    ['nothing', undefined, [{ type: 'catalog' }], `${BEARER},scope="registry:catalog:*"`],
    ['an empty name', 'Basic Og==', [], BEARER],
    ['a wrong password', basic('ann', 'wrong'), [], BEARER],
    ['an empty password', basic('ann', ''), [], BEARER],
    ['an unknown name', basic('nobody'), [], BEARER],
    ['another scheme', 'Digest username="ann"', [], BEARER],
    ['garbage', 'Bearer a.b.c', [], `${BEARER},error="invalid_token"`],
    ['a token of V1 without a signature', 'Token access=write', [], BEARER],
  ];
  for (const [why, header, wanted, expected] of refused) {
    it(`refuses ${why} and says where to log in (${wanted.length} wanted)`, async () => {
      const { access } = await accessWith();
      assert.equal(await outcome(access, request('v2', header), wanted), expected);
    });
  }

  it('challenges with Basic where the token endpoint is off or our address is not known', async () => {
    const { access } = await accessWith({ tokenEndpoint: undefined });
    const expected = 'UNAUTHORIZED Basic realm="registry"';
    assert.equal(await outcome(access, request('v2', undefined), []), expected);
    const { access: on } = await accessWith();
    const forged = request('v2', undefined, { origin: { scheme: 'http', host: 'a"b' } });
    assert.equal(await outcome(on, forged, []), expected);
  });

  it('denies what no rule grants, by name', async () => {
    const { access } = await accessWith({ rules: [TEAM, PUBLIC] });
    const from = request('v2', basic('carol'));
    assert.equal(await outcome(access, from, PULL), 'DENIED');
    await assert.rejects(async () => access.authorize(from, PUSH), {
      message: 'requested access to the resource is denied: user carol may not pull team/app',
    });
    assert.equal(await outcome(access, request('v2', basic('ann')), PUSH), 'session of ann');
    assert.equal(await outcome(access, from, [on('public/a', 'pull')]), 'session of carol');
  });

  it('lets anybody do what rules for anyone grant, but not pass /v2/ itself', async () => {
    const { access } = await accessWith({ rules: [TEAM, PUBLIC] });
    for (const header of [undefined, 'Basic Og==']) {
      const from = request('v2', header);
      assert.equal(await outcome(access, from, [on('public/a', 'pull')]), 'session of nobody');
      assert.equal(await outcome(access, from, []), BEARER);
      const push = await outcome(access, from, [on('public/a', 'push')]);
      assert.equal(push, `${BEARER},scope="repository:public/a:push"`);
    }
  });

  it('answers at once for a password that it knows', async () => {
    const { access } = await accessWith({}, [HTPASSWD.ann]);
    const first = access.authorize(request('v2', basic('ann')), PULL);
    assert.ok(first instanceof Promise);
    await first;
    const again = access.authorize(request('v2', basic('ann')), PULL);
    assert.ok(!(again instanceof Promise));
    assert.equal((again as Session).user, 'ann');
  });

  it('hashes every time where the cache is off', async () => {
    const { access } = await accessWith({ passwordCacheSeconds: 0 });
    for (let at = 0; at < 2; at += 1) {
      const session = access.authorize(request('v2', basic('ann')), PULL);
      assert.ok(session instanceof Promise);
      await session;
    }
  });

  it('forgets a password that was changed, and an account that went', async () => {
    const { access, path } = await accessWith();
    for (const user of ['ann', 'carol']) await access.authorize(request('v2', basic(user)), PULL);
    writeFileSync(path, `${ANN_CHANGED}\n`);
    await delay(1100);
    assert.equal(await outcome(access, request('v2', basic('ann')), []), BEARER);
    assert.equal(await outcome(access, request('v2', basic('carol')), []), BEARER);
    const changed = request('v2', basic('ann', 'changed-ann'));
    assert.equal(await outcome(access, changed, []), 'session of ann');
  });

  it('slows down whoever guesses, and lets those in who are known', async () => {
    const { access } = await accessWith({ failuresPerMinute: 2 });
    await access.authorize(request('v2', basic('carol')), PULL);
    for (const guess of ['a', 'b']) {
      assert.equal(await outcome(access, request('v2', basic('ann', guess)), []), BEARER);
    }
    assert.equal(await outcome(access, request('v2', basic('ann')), []), 'TOOMANYREQUESTS');
    assert.equal(await outcome(access, request('v2', basic('carol')), []), 'session of carol');
  });

  it('takes new rules when it is reloaded, and keeps the old ones when they cannot work', async () => {
    const { access, from } = await accessWith();
    assert.equal(await outcome(access, request('v2', basic('carol')), PUSH), 'session of carol');
    await access.reload({ ...from, auth: { ...from.auth, rules: [TEAM] } });
    assert.equal(await outcome(access, request('v2', basic('carol')), PUSH), 'DENIED');
    const broken = { ...from, auth: { ...from.auth, htpasswd: { path: '/nowhere' } } };
    await assert.rejects(access.reload(broken), /auth\.htpasswd\.path/);
    assert.equal(await outcome(access, request('v2', basic('carol')), PUSH), 'DENIED');
  });
});

describe('access by accounts over V1', () => {
  const token = async (
    access: Control,
    user: string,
    action: 'read' | 'write' | 'delete',
    repository = 'team/app',
  ) => {
    const session = await access.authorize(request('v1', basic(user)), []);
    return `Token ${access.issueV1Token(session, repository, action)}`;
  };

  it('takes Basic, its own token, and the token twice announced or beside another', async () => {
    const { access } = await accessWith();
    const good = await token(access, 'ann', 'write');
    const other = await token(access, 'ann', 'read', 'team/other');
    const headers = [basic('ann'), good, `Token ${good}`, `Token Token signature=x,${good}`];
    for (const header of headers) {
      assert.equal(await outcome(access, request('v1', header), PUSH), 'session of ann', header);
    }
    assert.equal(await outcome(access, request('v1', other), PULL), 'UNAUTHORIZED Token');
  });

  it('binds a token to its repository and its kind of access', async () => {
    const { access } = await accessWith();
    const read = request('v1', await token(access, 'ann', 'read'));
    assert.equal((await access.authorize(read, [])).repository, 'team/app');
    assert.equal(await outcome(access, read, PULL), 'session of ann');
    assert.equal(await outcome(access, read, PUSH), 'UNAUTHORIZED Token');
    assert.equal(await outcome(access, read, [on('team/b', 'pull')]), 'UNAUTHORIZED Token');
    assert.equal(await outcome(access, read, [on('team/app', 'delete')]), 'UNAUTHORIZED Token');
    assert.equal(await outcome(access, read, [{ type: 'catalog' }]), 'UNAUTHORIZED Token');
  });

  it('gives no token for what its session may not do', async () => {
    const { access } = await accessWith({ rules: [TEAM] });
    await assert.rejects(token(access, 'ann', 'delete'), (error) => {
      return error instanceof RegistryError && error.code === 'DENIED';
    });
    const read = await access.authorize(request('v1', await token(access, 'ann', 'read')), []);
    assert.throws(() => access.issueV1Token(read, 'team/app', 'write'), /may not push/);
    assert.throws(() => access.issueV1Token(read, 'team/other', 'read'), /may not pull/);
  });

  it('refuses a token that was good, once the password is another or the rules are', async () => {
    const { access, path, from } = await accessWith({ rules: [EVERY_USER] });
    const write = request('v1', await token(access, 'ann', 'write'));
    assert.equal(await outcome(access, write, PUSH), 'session of ann');
    await access.reload({ ...from, auth: { ...from.auth, rules: [PUBLIC] } });
    assert.equal(await outcome(access, write, PUSH), 'DENIED');
    await access.reload(from);
    assert.equal(await outcome(access, write, PUSH), 'session of ann');
    writeFileSync(path, `${ANN_CHANGED}\n`);
    await delay(1100);
    assert.equal(await outcome(access, write, PUSH), 'UNAUTHORIZED Token');
  });

  it('takes a token on every node that shares the store, and on no other', async () => {
    const { from } = await accessWith();
    const driver = memory();
    const one = await createAccessControl(from, driver, recordingLog());
    const two = await createAccessControl(from, driver, recordingLog());
    const stranger = await createAccessControl(from, memory(), recordingLog());
    const write = request('v1', await token(one, 'ann', 'write'));
    assert.equal(await outcome(two, write, PUSH), 'session of ann');
    assert.equal(await outcome(stranger, write, PUSH), 'UNAUTHORIZED Token');
  });

  it('never takes a V1 token for V2, even one that it knows', async () => {
    const { access } = await accessWith();
    const write = await token(access, 'ann', 'write');
    assert.equal(await outcome(access, request('v1', write), PUSH), 'session of ann');
    assert.match(await outcome(access, request('v2', write), PUSH), /^UNAUTHORIZED Bearer/);
  });

  it('opens image routes to anybody only where something is open to anybody', async () => {
    const closed = (await accessWith()).access;
    const { access } = await accessWith({ rules: [TEAM, PUBLIC] });
    for (const header of [undefined, 'Token ', 'Basic Og==']) {
      assert.equal(
        await outcome(closed, request('v1', header), []),
        'UNAUTHORIZED Token'.replace(
          'Token',
          header?.startsWith('Basic') ? 'Basic realm="registry"' : 'Token',
        ),
      );
      const session = await access.authorize(request('v1', header), []);
      assert.equal(session.user, undefined);
      assert.equal(session.may(on('public/a', 'pull')), true);
      assert.equal(session.may(on('team/app', 'pull')), false);
    }
  });

  it('gives a client without a login a token for what is open to anybody', async () => {
    const { access } = await accessWith({ rules: [TEAM, PUBLIC] });
    const session = await access.authorize(request('v1', undefined), [on('public/a', 'pull')]);
    const read = request('v1', `Token ${access.issueV1Token(session, 'public/a', 'read')}`);
    assert.equal(await outcome(access, read, [on('public/a', 'pull')]), 'session of nobody');
    assert.throws(() => access.issueV1Token(session, 'public/a', 'write'), /may not push/);
  });

  it('says Basic to whoever came with a wrong password', async () => {
    const { access } = await accessWith();
    const wrong = request('v1', basic('ann', 'wrong'));
    assert.equal(await outcome(access, wrong, []), 'UNAUTHORIZED Basic realm="registry"');
  });
});
