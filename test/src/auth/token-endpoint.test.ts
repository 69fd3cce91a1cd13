import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import {
  ANN_CHANGED,
  type AuthServer,
  basic,
  HTPASSWD,
  RULES,
  settings,
  startAuthServer,
  temporaryFile,
} from '../../support/auth-registry.ts';

interface TokenAnswer {
  token: string;
  access_token: string;
  expires_in: number;
  issued_at: string;
  refresh_token?: string;
}

let server: AuthServer;
let htpasswd: string;

before(async () => {
  htpasswd = temporaryFile('htpasswd', `${HTPASSWD.ann}\n${HTPASSWD.carol}\n`);
  server = await startAuthServer(settings({ htpasswd: { path: htpasswd }, rules: RULES }));
});

function get(query: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${server.url}/auth/token?${query}`, { headers });
}

function post(form: Record<string, string>): Promise<Response> {
  return fetch(`${server.url}/auth/token`, { method: 'POST', body: new URLSearchParams(form) });
}

async function accessOf(answer: Response): Promise<unknown> {
  assert.equal(answer.status, 200);
  return decodeJwt(((await answer.json()) as TokenAnswer).token).access;
}

describe('the token endpoint', () => {
  it('answers in the form that clients of every age read', async () => {
    const answer = await get('service=registry&scope=repository:team/app:pull', {
      authorization: basic('ann'),
    });
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
    const body = (await answer.json()) as TokenAnswer;
    assert.equal(body.token, body.access_token);
    assert.equal(body.expires_in, 300);
    assert.equal(body.refresh_token, undefined);
    assert.ok(Math.abs(Date.parse(body.issued_at) - Date.now()) < 5000);
    const { iss, sub, aud, exp = 0, iat = 0 } = decodeJwt(body.token);
    assert.deepEqual([iss, sub, aud, exp - iat], ['isthmus', 'ann', 'registry', 300]);
  });

  const grants: [user: string | undefined, query: string, access: object[]][] = [
    [
      'ann',
      'scope=repository:team/app:pull,push,delete',
      [{ name: 'team/app', actions: ['pull', 'push'] }],
    ],
    ['ann', 'scope=repository:team/app:*', [{ name: 'team/app', actions: ['pull', 'push'] }]],
    ['carol', 'scope=repository:x:*', [{ name: 'x', actions: ['pull', 'push', 'delete'] }]],
    ['ann', 'scope=repository:secret/app:pull', []],
    ['ann', '', []],
    [
      'ann',
      'scope=repository:team/a:pull&scope=repository:public/b:pull,push',
      [
        { name: 'team/a', actions: ['pull'] },
        { name: 'public/b', actions: ['pull'] },
      ],
    ],
    [
      'ann',
      'scope=repository:team/a:pull%20repository(plugin):team/b:push',
      [
        { name: 'team/a', actions: ['pull'] },
        { name: 'team/b', actions: ['push'] },
      ],
    ],
    ['ann', 'scope=registry:catalog:*', [{ type: 'registry', name: 'catalog', actions: ['*'] }]],
    [undefined, 'scope=registry:catalog:*', []],
    [undefined, 'scope=repository:public/a:pull,push', [{ name: 'public/a', actions: ['pull'] }]],
    [undefined, 'scope=repository:team/a:pull', []],
    ['ann', 'scope=nonsense&scope=other:thing:pull&scope=repository::pull', []],
  ];
  for (const [user, query, access] of grants) {
    it(`gives ${user ?? 'anybody'} for "${query}" ${access.length} of what is asked`, async () => {
      const headers: Record<string, string> =
        user === undefined ? {} : { authorization: basic(user) };
      const expected = access.map((entry) => ({ type: 'repository', ...entry }));
      assert.deepEqual(await accessOf(await get(query, headers)), expected);
    });
  }

  const refused: [why: string, query: string, authorization: string, status: number][] = [
    ['a wrong password', '', basic('ann', 'wrong'), 401],
    ['an unknown name', '', basic('nobody'), 401],
    ['a token in the place of a login', '', 'Bearer a.b.c', 401],
    ['garbage', '', 'Basic !!!', 401],
    ['another service', 'service=other', basic('ann'), 400],
  ];
  for (const [why, query, authorization, status] of refused) {
    it(`refuses ${why}`, async () => {
      const answer = await get(query, { authorization });
      assert.equal(answer.status, status);
      const challenge = status === 401 ? 'Basic realm="registry"' : null;
      assert.equal(answer.headers.get('www-authenticate'), challenge);
      const body = (await answer.json()) as { errors: { code: string; message: string }[] };
      assert.equal(body.errors[0]?.code, status === 401 ? 'UNAUTHORIZED' : 'UNSUPPORTED');
    });
  }

  it('takes the OAuth2 form, and gives refresh tokens to those who ask', async () => {
    const form = {
      grant_type: 'password',
      service: 'registry',
      client_id: 'docker',
      username: 'ann',
      password: 'secret-ann',
      scope: 'repository:team/a:pull repository:team/b:push',
    };
    const plain = (await (await post(form)).json()) as TokenAnswer;
    assert.equal(plain.refresh_token, undefined);
    const offline = (await (await post({ ...form, access_type: 'offline' })).json()) as TokenAnswer;
    assert.ok(offline.refresh_token);
    const again = await post({
      grant_type: 'refresh_token',
      service: 'registry',
      refresh_token: offline.refresh_token,
      scope: form.scope,
    });
    const refreshed = (await again.json()) as TokenAnswer;
    assert.equal(refreshed.refresh_token, offline.refresh_token);
    const { sub, access } = decodeJwt(refreshed.token);
    assert.equal(sub, 'ann');
    assert.deepEqual(access, [
      { type: 'repository', name: 'team/a', actions: ['pull'] },
      { type: 'repository', name: 'team/b', actions: ['push'] },
    ]);
  });

  it('gives docker login a refresh token, but not to engines that also need the password', async () => {
    const ask = async (agent: string) => {
      const answer = await get('offline_token=true', {
        authorization: basic('ann'),
        'user-agent': agent,
      });
      return ((await answer.json()) as TokenAnswer).refresh_token !== undefined;
    };
    assert.equal(await ask('docker/28.0.1 go/go1.23'), true);
    assert.equal(await ask('docker/1.12.6 go/go1.6.4'), false);
  });

  const badForms: [why: string, form: Record<string, string>, error: string][] = [
    [
      'a wrong password',
      { grant_type: 'password', username: 'ann', password: 'x' },
      'invalid_grant',
    ],
    ['no password', { grant_type: 'password', username: 'ann' }, 'invalid_grant'],
    [
      'a name with a colon',
      { grant_type: 'password', username: 'ann:secret-ann', password: '' },
      'invalid_grant',
    ],
    ['no name', { grant_type: 'password' }, 'invalid_grant'],
    ['another grant', { grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    ['no grant', {}, 'unsupported_grant_type'],
    ['no refresh token', { grant_type: 'refresh_token' }, 'invalid_grant'],
    [
      'a forged refresh token',
      { grant_type: 'refresh_token', refresh_token: 'e30.AAAA' },
      'invalid_grant',
    ],
    ['another service', { grant_type: 'password', service: 'other' }, 'invalid_request'],
  ];
  for (const [why, form, error] of badForms) {
    it(`refuses a form with ${why}: ${error}`, async () => {
      const answer = await post(form);
      assert.equal(answer.status, 400);
      const body = (await answer.json()) as { error: string; error_description: string };
      assert.equal(body.error, error);
      assert.notEqual(body.error_description, '');
    });
  }

  it('refuses a form that is too large, and other methods', async () => {
    assert.equal((await post({ grant_type: 'x'.repeat(70_000) })).status, 413);
    const answer = await fetch(`${server.url}/auth/token`, { method: 'DELETE' });
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.get('allow'), 'GET, HEAD, POST');
  });

  it('never takes a token of one kind for another', async () => {
    const answer = await get('offline_token=true&scope=repository:team/a:pull', {
      authorization: basic('ann'),
    });
    const { token, refresh_token: refreshToken = '' } = (await answer.json()) as TokenAnswer;
    const asRefresh = await post({ grant_type: 'refresh_token', refresh_token: token });
    assert.equal(asRefresh.status, 400);
    for (const authorization of [`Bearer ${refreshToken}`, `Token signature=${refreshToken}`]) {
      const answered = await fetch(`${server.url}/v2/`, { headers: { authorization } });
      assert.equal(answered.status, 401);
    }
  });

  it('refuses clients without a login where nothing is open to them', async () => {
    const closed = await startAuthServer(settings({ htpasswd: { path: htpasswd } }));
    const answer = await fetch(`${closed.url}/auth/token?scope=repository:a:pull`);
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get('www-authenticate'), 'Basic realm="registry"');
  });

  it('tells who guesses too often when to come again', async () => {
    const limited = await startAuthServer(
      settings({ htpasswd: { path: htpasswd }, failuresPerMinute: 1 }),
    );
    const ask = (path: string, password: string) =>
      fetch(limited.url + path, { headers: { authorization: basic('ann', password) } });
    assert.equal((await ask('/auth/token', 'wrong')).status, 401);
    for (const path of ['/auth/token', '/v2/']) {
      const answer = await ask(path, 'secret-ann');
      assert.equal(answer.status, 429, path);
      assert.ok(Number(answer.headers.get('retry-after')) > 0);
      const { errors } = (await answer.json()) as { errors: { code: string }[] };
      assert.equal(errors[0]?.code, 'TOOMANYREQUESTS');
    }
  });

  it('ends every token with the password that it was given for', async () => {
    const path = temporaryFile('htpasswd', `${HTPASSWD.ann}\n`);
    const own = await startAuthServer(settings({ htpasswd: { path } }));
    const url = `${own.url}/auth/token?offline_token=true&scope=repository:a:pull`;
    const answer = await fetch(url, { headers: { authorization: basic('ann') } });
    const { token, refresh_token: refreshToken = '' } = (await answer.json()) as TokenAnswer;
    const attempts = async () => {
      const headers = { authorization: `Bearer ${token}` };
      const form = { grant_type: 'refresh_token', refresh_token: refreshToken };
      const refreshed = await fetch(`${own.url}/auth/token`, {
        method: 'POST',
        body: new URLSearchParams(form),
      });
      return [(await fetch(`${own.url}/v2/`, { headers })).status, refreshed.status];
    };
    assert.deepEqual(await attempts(), [200, 200]);
    writeFileSync(path, `${ANN_CHANGED}\n`);
    await delay(1100);
    assert.deepEqual(await attempts(), [401, 400]);
  });

  it('gives tokens that never let do more than the rules of today', async () => {
    const from = settings({ htpasswd: { path: htpasswd }, rules: RULES });
    const own = await startAuthServer(from);
    const url = `${own.url}/auth/token?scope=repository:team/app:pull`;
    const answer = await fetch(url, { headers: { authorization: basic('ann') } });
    const { token } = (await answer.json()) as TokenAnswer;
    const pull = async () => {
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`${own.url}/v2/team/app/manifests/v1`, { headers })).status;
    };
    assert.equal(await pull(), 404);
    await own.access.reload({ ...from, auth: { ...from.auth, rules: RULES.slice(0, 1) } });
    assert.equal(await pull(), 403);
  });

  it('gives tokens that every node of the store takes, and no other registry', async () => {
    const from = settings({ htpasswd: { path: htpasswd }, rules: RULES });
    const node = await startAuthServer(from, server.driver);
    const stranger = await startAuthServer(from);
    const { token } = (await (
      await get('', { authorization: basic('ann') })
    ).json()) as TokenAnswer;
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${node.url}/v2/`, { headers })).status, 200);
    const refusal = await fetch(`${stranger.url}/v2/`, { headers });
    assert.equal(refusal.status, 401);
    assert.match(refusal.headers.get('www-authenticate') ?? '', /error="invalid_token"$/);
  });
});
