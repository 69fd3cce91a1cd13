import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { createAccessControl } from '../../../src/auth/create-access-control.ts';
import type { AccessRule, OutsideTokenConfig } from '../../../src/config/auth.ts';
import {
  ALL_ACTIONS,
  memory,
  recordingLog,
  request,
  rule,
  settings,
  startAuthServer,
  temporaryFile,
} from '../../support/auth-registry.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function outsideSettings(changes: Partial<OutsideTokenConfig> = {}, rules: AccessRule[] = []) {
  const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: 'k' };
  const token: OutsideTokenConfig = {
    realm: 'https://auth.test/token',
    service: 'registry.test',
    issuer: 'auth.test',
    rootCertBundle: undefined,
    jwks: temporaryFile('keys.json', JSON.stringify({ keys: [jwk] })),
    signingAlgorithms: ['ES256'],
    autoRedirectPath: undefined,
    ...changes,
  };
  return settings({ token, rules });
}

const repository = (name: string, ...actions: string[]) => ({ type: 'repository', name, actions });
const CATALOG = { type: 'registry', name: 'catalog', actions: ['*'] };

async function bearer(...access: object[]): Promise<Record<string, string>> {
  const token = await new SignJWT({ access })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setIssuer('auth.test')
    .setSubject('ann')
    .setAudience('registry.test')
    .setExpirationTime('5m')
    .sign(privateKey);
  return { authorization: `Bearer ${token}` };
}

describe('without access control', () => {
  it('everybody may do everything, and nobody waits', async () => {
    const access = await createAccessControl(settings({}), memory(), recordingLog());
    assert.equal(access.accounts, false);
    const session = access.authorize(request('v2', 'Basic nonsense'), [{ type: 'catalog' }]);
    assert.ok(!(session instanceof Promise));
    assert.equal(session.may({ type: 'repository', name: 'a', action: 'delete' }), true);
    assert.equal(access.issueV1Token(session, 'a', 'write'), undefined);
  });

  it('there is no token endpoint', async () => {
    const server = await startAuthServer(settings({}));
    assert.equal((await fetch(`${server.url}/auth/token`)).status, 404);
    assert.equal((await fetch(`${server.url}/v2/`)).status, 200);
  });
});

describe("distribution's silly access control", () => {
  it('challenges whoever comes without a header, and lets in everybody else', async () => {
    const silly = { realm: 'https://silly.test/token', service: 'silly' };
    const server = await startAuthServer(settings({ silly }));
    const refused = await fetch(`${server.url}/v2/a/tags/list`);
    assert.equal(refused.status, 401);
    assert.equal(
      refused.headers.get('www-authenticate'),
      'Bearer realm="https://silly.test/token",service="silly",scope="repository:a:pull"',
    );
    const headers = { authorization: 'seriously, anything' };
    assert.equal((await fetch(`${server.url}/v2/`, { headers })).status, 200);
  });
});

describe('with tokens of an outside server', () => {
  it('sends clients to that server, and tells what was wrong with a token', async () => {
    const server = await startAuthServer(outsideSettings());
    const challenge = 'Bearer realm="https://auth.test/token",service="registry.test"';
    const rows: [path: string, headers: Record<string, string>, expected: string][] = [
      ['/v2/', {}, challenge],
      ['/v2/a/tags/list', {}, `${challenge},scope="repository:a:pull"`],
      ['/v2/', { authorization: 'Bearer a.b.c' }, `${challenge},error="invalid_token"`],
      ['/v2/', { authorization: 'Basic YW5uOng=' }, challenge],
      [
        '/v2/a/tags/list',
        await bearer(repository('b', 'pull')),
        `${challenge},scope="repository:a:pull",error="insufficient_scope"`,
      ],
    ];
    for (const [path, headers, expected] of rows) {
      const answer = await fetch(server.url + path, { headers });
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get('www-authenticate'), expected);
    }
    assert.equal((await fetch(`${server.url}/v2/`, { headers: await bearer() })).status, 200);
  });

  it('grants what the token lists: the action, or every action', async () => {
    const server = await startAuthServer(outsideSettings());
    const upload = async (...access: object[]) =>
      (
        await fetch(`${server.url}/v2/a/blobs/uploads/`, {
          method: 'POST',
          headers: await bearer(...access),
        })
      ).status;
    assert.equal(await upload(repository('a', 'pull', 'push')), 202);
    assert.equal(await upload(repository('a', '*')), 202);
    assert.equal(await upload(repository('a', 'pull'), repository('a', 'push')), 202);
    assert.equal(await upload(repository('a', 'push')), 401);
    assert.equal(await upload(repository('a/b', '*')), 401);
    assert.equal(await upload({ ...repository('a', '*'), type: 'registry' }), 401);
    assert.equal(await upload(CATALOG), 401);
  });

  it('lists every repository to a token for the catalog, and lets it pull none', async () => {
    const server = await startAuthServer(outsideSettings());
    const headers = await bearer(CATALOG);
    await server.driver.put('/docker/registry/v2/repositories/a/_manifests/x', '');
    await server.content.catalog.changed();
    const listed = await fetch(`${server.url}/v2/_catalog`, { headers });
    assert.deepEqual(await listed.json(), { repositories: ['a'] });
    const pull = await fetch(`${server.url}/v2/a/tags/list`, { headers });
    assert.equal(pull.status, 401);
    const other = await fetch(`${server.url}/v2/_catalog`, {
      headers: await bearer(repository('a', 'pull')),
    });
    assert.equal(other.status, 401);
  });

  it('sends clients to a path at the host that they know us by (autoredirect)', async () => {
    const server = await startAuthServer(outsideSettings({ autoRedirectPath: '/auth/token' }));
    const direct = await fetch(`${server.url}/v2/`);
    assert.equal(
      direct.headers.get('www-authenticate'),
      `Bearer realm="${server.url}/auth/token",service="registry.test"`,
    );
    const forwarded = await fetch(`${server.url}/v2/`, {
      headers: { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'hub.test' },
    });
    assert.match(
      forwarded.headers.get('www-authenticate') ?? '',
      /^Bearer realm="https:\/\/hub\.test\/auth\/token"/,
    );
  });

  it('is widened by rules for anyone, and narrowed by rules for users', async () => {
    const rules = [
      rule({ repositories: ['public/*'], anonymous: true, actions: ['pull'] }),
      rule({ repositories: ['team/*'], users: ['ann'], actions: ALL_ACTIONS }),
    ];
    const access = await createAccessControl(outsideSettings({}, rules), memory(), recordingLog());
    const { authorization } = await bearer(repository('team/a', 'pull'), repository('x', 'pull'));
    const may = async (header: string | undefined, name: string) => {
      try {
        const wanted = { type: 'repository', name, action: 'pull' } as const;
        await access.authorize(request('v2', header), [wanted]);
        return 'may';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    assert.equal(await may(undefined, 'public/a'), 'may');
    assert.equal(await may(undefined, 'team/a'), 'UNAUTHORIZED');
    assert.equal(await may(authorization, 'public/a'), 'may');
    assert.equal(await may(authorization, 'team/a'), 'may');
    assert.equal(await may(authorization, 'team/b'), 'UNAUTHORIZED');
    assert.equal(await may(authorization, 'x'), 'DENIED');
  });

  it('answers at once for a token that it knows', async () => {
    const access = await createAccessControl(outsideSettings(), memory(), recordingLog());
    const from = request('v2', (await bearer()).authorization);
    assert.ok(access.authorize(from, []) instanceof Promise);
    await access.authorize(from, []);
    const again = access.authorize(from, []);
    assert.ok(!(again instanceof Promise));
    assert.equal(again.user, 'ann');
  });
});
