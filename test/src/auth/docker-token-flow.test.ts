import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, it } from 'node:test';
import {
  type AuthServer,
  basic,
  HTPASSWD,
  RULES,
  settings,
  startAuthServer,
  temporaryFile,
} from '../../support/auth-registry.ts';

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

let server: AuthServer;

before(async () => {
  const path = temporaryFile('htpasswd', `${HTPASSWD.ann}\n${HTPASSWD.carol}\n`);
  server = await startAuthServer(settings({ htpasswd: { path }, rules: RULES }));
});

/** Does as docker does: asks without a token, is told where to get one, gets it, and asks again. */
async function withToken(user: string | undefined, path: string, init: RequestInit = {}) {
  const first = await fetch(server.url + path, init);
  assert.equal(first.status, 401, path);
  await first.body?.cancel();
  const token = await tokenFor(user, first.headers.get('www-authenticate') ?? '');
  const headers = { ...init.headers, authorization: `Bearer ${token}` };
  return fetch(server.url + path, { ...init, headers });
}

async function tokenFor(user: string | undefined, challenge: string): Promise<string> {
  assert.match(challenge, /^Bearer /);
  const fields = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  );
  const query = new URLSearchParams({ service: fields.service ?? '' });
  for (const scope of (fields.scope ?? '').split(' ')) query.append('scope', scope);
  const headers: Record<string, string> = user === undefined ? {} : { authorization: basic(user) };
  const answer = await fetch(`${fields.realm}?${query}`, { headers });
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { token: string }).token;
}

describe("docker's way to a token", () => {
  const config = Buffer.from('{}');
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`;
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 },
    layers: [],
  });

  async function push(user: string, name: string): Promise<void> {
    const blob = await withToken(user, `/v2/${name}/blobs/uploads/?digest=${digest}`, {
      method: 'POST',
      body: config,
    });
    assert.equal(blob.status, 201, await blob.text());
    const put = await withToken(user, `/v2/${name}/manifests/v1`, {
      method: 'PUT',
      body: manifest,
      headers: { 'content-type': MANIFEST_TYPE },
    });
    assert.equal(put.status, 201, await put.text());
  }

  it('leads to a push and a pull for those whom the rules let', async () => {
    await push('ann', 'team/app');
    await push('carol', 'public/app');
    await push('carol', 'secret/app');
    const pulled = await withToken('ann', '/v2/team/app/manifests/v1');
    assert.equal(pulled.status, 200);
    assert.equal(await pulled.text(), manifest);
  });

  it('begins with a challenge in the form of distribution', async () => {
    const answer = await fetch(`${server.url}/v2/team/app/blobs/uploads/`, { method: 'POST' });
    assert.equal(answer.status, 401);
    assert.equal(
      answer.headers.get('www-authenticate'),
      `Bearer realm="${server.url}/auth/token",service="registry",scope="repository:team/app:pull,push"`,
    );
    assert.deepEqual(await answer.json(), {
      errors: [
        {
          code: 'UNAUTHORIZED',
          message: 'authentication required',
          detail: [
            { Type: 'repository', Class: '', Name: 'team/app', Action: 'pull' },
            { Type: 'repository', Class: '', Name: 'team/app', Action: 'push' },
          ],
        },
      ],
    });
    const base = await fetch(`${server.url}/v2/`);
    assert.equal(base.headers.get('docker-distribution-api-version'), 'registry/2.0');
    assert.deepEqual(((await base.json()) as { errors: object[] }).errors, [
      { code: 'UNAUTHORIZED', message: 'authentication required', detail: null },
    ]);
  });

  it('passes /v2/ with a login, and with Basic as well', async () => {
    assert.equal((await withToken('ann', '/v2/')).status, 200);
    const direct = await fetch(`${server.url}/v2/`, { headers: { authorization: basic('ann') } });
    assert.equal(direct.status, 200);
  });

  it('ends with DENIED where the rules do not let this user push', async () => {
    const path = '/v2/public/app/blobs/uploads/';
    const answer = await withToken('ann', path, { method: 'POST' });
    assert.equal(answer.status, 403);
    const { errors } = (await answer.json()) as { errors: { code: string; message: string }[] };
    assert.equal(errors[0]?.code, 'DENIED');
    assert.match(errors[0]?.message ?? '', /user ann may not push public\/app/);
  });

  it('ends with insufficient_scope where a login or another token would help', async () => {
    const pull = await tokenFor(
      'ann',
      `Bearer realm="${server.url}/auth/token",scope="repository:team/app:pull"`,
    );
    for (const [token, path] of [
      [pull, '/v2/team/app/blobs/uploads/'],
      [
        await tokenFor(undefined, `Bearer realm="${server.url}/auth/token"`),
        '/v2/public/app/blobs/uploads/',
      ],
    ]) {
      const answer = await fetch(server.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      });
      assert.equal(answer.status, 401);
      assert.match(
        answer.headers.get('www-authenticate') ?? '',
        /push",error="insufficient_scope"$/,
      );
    }
  });

  it('lets anybody pull what is open, with a token or without one', async () => {
    const direct = await fetch(`${server.url}/v2/public/app/manifests/v1`);
    assert.equal(direct.status, 200);
    const token = await tokenFor(
      undefined,
      `Bearer realm="${server.url}/auth/token",scope="repository:public/app:pull"`,
    );
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${server.url}/v2/`, { headers })).status, 200);
    const pulled = await fetch(`${server.url}/v2/public/app/manifests/v1`, { headers });
    assert.equal(pulled.status, 200);
    assert.equal((await withToken(undefined, '/v2/team/app/manifests/v1')).status, 401);
  });

  it('shows each user in the catalog what they may pull', async () => {
    const catalog = async (user: string) =>
      ((await (await withToken(user, '/v2/_catalog')).json()) as { repositories: string[] })
        .repositories;
    assert.deepEqual(await catalog('ann'), ['public/app', 'team/app']);
    assert.deepEqual(await catalog('carol'), ['public/app', 'secret/app', 'team/app']);
    assert.equal((await withToken(undefined, '/v2/_catalog')).status, 401);
  });

  it('gives a token for the catalog no right to what it lists', async () => {
    const token = await tokenFor(
      'ann',
      `Bearer realm="${server.url}/auth/token",scope="registry:catalog:*"`,
    );
    const answer = await fetch(`${server.url}/v2/team/app/manifests/v1`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(answer.status, 401);
  });
});
