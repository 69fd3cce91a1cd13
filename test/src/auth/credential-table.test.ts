import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { decodeJwt, SignJWT } from 'jose';
import { AccessTokens } from '../../../src/auth/access-tokens.ts';
import type { AccessEntry } from '../../../src/auth/grants.ts';
import { SealedTokens } from '../../../src/auth/sealed-tokens.ts';
import { loadSigningKey, type SigningKey } from '../../../src/auth/signing-key.ts';
import { V1Sessions } from '../../../src/auth/v1-sessions.ts';
import {
  ANN_CHANGED,
  type AuthServer,
  basic,
  HTPASSWD,
  memory,
  settings,
  startAuthServer,
  TOKEN_ENDPOINT,
  temporaryFile,
} from '../../support/auth-registry.ts';
import { request } from '../../support/http-client.ts';
import { makeV1Chain } from '../../support/images.ts';
import { V1Client } from '../../support/v1-client.ts';

const ACCESS: AccessEntry[] = [
  { type: 'repository', name: 'team/app', actions: ['pull', 'push', 'delete'] },
];
const DEFAULTS = { file: undefined, secret: undefined };
const HOUR_MS = 3_600_000;

const chain = makeV1Chain({ seed: 17, layers: 1 });
const id = chain[0]?.id ?? '';

/** What an account needs to be known for, in both protocols: reading and writing, with and without a repository. */
const ROUTES: [method: string, path: string][] = [
  ['GET', '/v2/'],
  ['GET', '/v2/_catalog'],
  ['GET', '/v2/team/app/tags/list'],
  ['GET', '/v2/team/app/manifests/v1'],
  ['HEAD', `/v2/team/app/blobs/sha256:${'0'.repeat(64)}`],
  ['POST', '/v2/team/app/blobs/uploads/'],
  ['DELETE', '/v2/team/app/manifests/v1'],
  ['GET', '/v1/users/'],
  ['GET', '/v1/repositories/team/app/images'],
  ['GET', '/v1/repositories/team/app/tags'],
  ['PUT', '/v1/repositories/team/app/'],
  ['DELETE', '/v1/repositories/team/app/tags/v1'],
  ['GET', `/v1/images/${id}/json`],
  ['GET', `/v1/images/${id}/layer`],
  ['PUT', `/v1/images/${id}/json`],
];

describe('credentials that are no good, on every route of both protocols', () => {
  let server: AuthServer;
  let accounts: string;
  let key: SigningKey;
  let stranger: SigningKey;
  /** Good ones, which the bad ones are made from. */
  let bearer: string;
  let refresh: string;
  let v1Token: string;
  /** Good ones of before ann changed her password. */
  let oldBearer: string;
  let oldV1Token: string;

  const call = (method: string, path: string, authorization?: string, body?: string) =>
    request(`${server.url}${path}`, {
      method,
      headers: authorization === undefined ? {} : { authorization },
      ...(body !== undefined && { body }),
    });
  const login = async (password: string) => {
    const scope = 'scope=repository:team/app:pull,push,delete';
    const path = `/auth/token?service=registry&${scope}&offline_token=true&client_id=table`;
    const answer = await call('GET', path, basic('ann', password));
    return JSON.parse(answer.body.toString()) as { token: string; refresh_token: string };
  };
  const v1Login = async (password: string) => {
    const answer = await request(`${server.url}/v1/repositories/team/app/images`, {
      headers: { authorization: basic('ann', password), 'x-docker-token': 'true' },
    });
    return String(answer.headers['x-docker-token']);
  };

  before(async () => {
    accounts = temporaryFile('htpasswd', `${HTPASSWD.ann}\n`);
    server = await startAuthServer(settings({ htpasswd: { path: accounts } }));
    await new V1Client(server.url, '1.5.0', { username: 'ann', password: 'secret-ann' }).push(
      'team/app',
      'v1',
      chain,
    );
    key = await loadSigningKey(server.driver, DEFAULTS);
    stranger = await loadSigningKey(memory(), DEFAULTS);
    oldBearer = (await login('secret-ann')).token;
    oldV1Token = await v1Login('secret-ann');
    for (const good of [`Bearer ${oldBearer}`, oldV1Token]) {
      const path = good.startsWith('B')
        ? '/v2/team/app/tags/list'
        : '/v1/repositories/team/app/tags';
      assert.equal((await call('GET', path, good)).status, 200, good);
    }
    writeFileSync(accounts, `${ANN_CHANGED}\n`);
    // The file is looked at once a second.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const fresh = await login('changed-ann');
    bearer = fresh.token;
    refresh = fresh.refresh_token;
    v1Token = await v1Login('changed-ann');
  });

  it('are compared with good ones, which pass', async () => {
    const tags = { v2: '/v2/team/app/tags/list', v1: '/v1/repositories/team/app/tags' };
    assert.equal((await call('GET', tags.v2, basic('ann', 'changed-ann'))).status, 200);
    assert.equal((await call('GET', tags.v1, basic('ann', 'changed-ann'))).status, 200);
    assert.equal((await call('GET', tags.v2, `Bearer ${bearer}`)).status, 200);
    assert.equal((await call('GET', tags.v1, v1Token)).status, 200);
    assert.equal((await call('GET', `/v1/images/${id}/json`, v1Token)).status, 200);
  });

  /** A token by our rules, made `ms` from now by some key, for ann as she is now. */
  const signed = async (ms: number, by = key, changes: Partial<typeof TOKEN_ENDPOINT> = {}) => {
    const tokens = new AccessTokens(by, { ...TOKEN_ENDPOINT, ...changes }, () => Date.now() + ms);
    return `Bearer ${(await tokens.issue('ann', String(decodeJwt(bearer).state), ACCESS)).token}`;
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = () => ({ ...decodeJwt(bearer), exp: Math.floor(Date.now() / 1000) + 300 });
  const v1Signature = () => /signature=([^,]*)/.exec(v1Token)?.[1] ?? '';
  const sealed = (by: SigningKey, ms: number) => {
    const state = JSON.parse(
      Buffer.from(v1Signature().split('.')[0] ?? '', 'base64url').toString(),
    ).state;
    const sessions = new V1Sessions(
      new SealedTokens(by.secretFor('v1 tokens')),
      3600,
      () => Date.now() + ms,
    );
    return `Token ${sessions.issue({ user: 'ann', state, repository: 'team/app', access: 'write' })}`;
  };

  const BAD: [why: string, header: () => string | undefined | Promise<string>][] = [
    ['nothing', () => undefined],
    ['an empty header', () => ''],
    ['a wrong password', () => basic('ann', 'guess')],
    ['the password of before', () => basic('ann', 'secret-ann')],
    ['an unknown user', () => basic('zoe', 'changed-ann')],
    ['the hash as password', () => basic('ann', ANN_CHANGED.slice('ann:'.length))],
    ['empty user and password, as docker 1.6 sends them', () => 'Basic Og=='],
    ['Basic that is no base64', () => 'Basic %%%'],
    ['Basic without a colon', () => `Basic ${Buffer.from('ann').toString('base64')}`],
    ['a scheme of others', () => 'Digest username="ann"'],
    ['a Bearer token that is none', () => 'Bearer changed-ann'],
    ['an expired Bearer token', () => signed(-HOUR_MS)],
    ['a Bearer token of tomorrow', () => signed(HOUR_MS)],
    ['a Bearer token of another issuer', () => signed(0, key, { issuer: 'other' })],
    ['a Bearer token for another service', () => signed(0, key, { service: 'other' })],
    ['a Bearer token of another registry', () => signed(0, stranger)],
    ['a Bearer token forged in our name', () => signed(0, { ...stranger, keyId: key.keyId })],
    [
      'a Bearer token that grants more than was signed',
      () => {
        const [head, , signature] = bearer.split('.');
        const access = [{ type: 'repository', name: 'team/app', actions: ['*'] }];
        return `Bearer ${head}.${json({ ...claims(), access })}.${signature}`;
      },
    ],
    [
      'a Bearer token that says it needs no signature',
      () => `Bearer ${json({ alg: 'none', kid: key.keyId, typ: 'JWT' })}.${json(claims())}.`,
    ],
    [
      'a Bearer token signed by our public key as a shared secret',
      async () => {
        const spki = key.publicKey.export({ format: 'der', type: 'spki' });
        const token = new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: key.keyId });
        return `Bearer ${await token.sign(createSecretKey(spki))}`;
      },
    ],
    [
      'a Bearer token that brings its own key',
      async () => {
        const jwk = stranger.publicKey.export({ format: 'jwk' });
        const head = { alg: 'ES256', kid: key.keyId, jwk };
        return `Bearer ${await new SignJWT(claims()).setProtectedHeader(head).sign(stranger.privateKey)}`;
      },
    ],
    ['a Bearer token of before the password was changed', () => `Bearer ${oldBearer}`],
    ['a refresh token as a Bearer token', () => `Bearer ${refresh}`],
    ['a V1 token as a Bearer token', () => `Bearer ${v1Signature()}`],
    ['an expired V1 token', () => sealed(key, -2 * HOUR_MS)],
    ['a V1 token of another registry', () => sealed(stranger, 0)],
    ['a V1 token of before the password was changed', () => oldV1Token],
    ['a V1 token whose seal was cut', () => v1Token.replace(/.{4},repository/, ',repository')],
    ['a V1 token that says another repository', () => v1Token.replace('team/app', 'team/other')],
    ['a V1 token without its seal', () => v1Token.replace(v1Signature(), '0123456789ABCDEF')],
    [
      'an access token as a V1 token',
      () => `Token signature=${bearer},repository="team/app",access=write`,
    ],
    [
      'a V1 token of docker-registry',
      () => 'Token signature=ABCDEFGHIJKLMNOP,repository="team/app",access=write',
    ],
  ];
  for (const [why, header] of BAD) {
    it(why, async () => {
      const authorization = await header();
      for (const [method, path] of ROUTES) {
        const body = method === 'PUT' ? '[]' : undefined;
        const { status, headers } = await call(method, path, authorization, body);
        assert.equal(status, 401, `${method} ${path}`);
        assert.ok(headers['www-authenticate'], `${method} ${path} has no challenge`);
      }
    });
  }

  it('never become good by being sent again after a good one', async () => {
    const path = '/v2/team/app/tags/list';
    for (const authorization of [basic('ann', 'guess'), `Bearer ${oldBearer}`]) {
      assert.equal((await call('GET', path, basic('ann', 'changed-ann'))).status, 200);
      assert.equal((await call('GET', path, authorization)).status, 401);
    }
  });

  it('leave the image and its tag as they were', async () => {
    const engine = new V1Client(server.url, '1.5.0', { username: 'ann', password: 'changed-ann' });
    const { images } = await engine.pull('team/app', 'v1');
    assert.deepEqual(images[0]?.layer, chain[0]?.layer);
  });
});
