import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { basic, testAccounts } from '../../support/accounts.ts';
import { exchanges, send } from '../../support/exchanges.ts';
import { makeImage, pushImage, pushLine } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const ANN = { authorization: basic('ann', 'secret') };
const BOB = { authorization: basic('bob', 'builder') };
const secret = await makeImage('secret');
const open = await makeImage('open');

describe('V1 with accounts', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.access = testAccounts();
    });
    await pushLine(server.url, 'hidden', 'v1', [secret], ANN);
    await pushLine(server.url, 'public', 'v1', [open], ANN);
  });
  after(() => server.close());

  const closed: [string, string][] = [
    ['PUT', '/v1/repositories/hidden/'],
    ['DELETE', '/v1/repositories/hidden/'],
    ['GET', '/v1/repositories/hidden/images'],
    ['PUT', '/v1/repositories/hidden/images'],
    ['DELETE', '/v1/repositories/hidden/images'],
    ['GET', '/v1/repositories/hidden/tags'],
    ['DELETE', '/v1/repositories/hidden/tags'],
    ['GET', '/v1/repositories/hidden/tags/v1'],
    ['PUT', '/v1/repositories/hidden/tags/v1'],
    ['DELETE', '/v1/repositories/hidden/tags/v1'],
    ['GET', '/v1/repositories/hidden/tags/v1/json'],
    ['GET', '/v1/repositories/hidden/json'],
    ['GET', '/v1/repositories/hidden/properties'],
    ['PUT', '/v1/repositories/hidden/properties'],
  ];
  const images: [string, string][] = ['json', 'layer', 'ancestry', 'files', 'diff'].map((what) => [
    'GET',
    `/v1/images/${secret.id}/${what}`,
  ]);
  for (const what of ['json', 'layer', 'checksum']) {
    images.push(['PUT', `/v1/images/${secret.id}/${what}`]);
  }

  exchanges(
    () => server.url,
    [...closed, ...images].map(([method, path]) => ({
      name: `wants a login for ${method} ${path.replace(secret.id, 'ID')}`,
      method,
      path,
      status: 401,
      json: { error: 'Requires authorization' },
      answer: { 'www-authenticate': 'Basic realm="test"', 'cache-control': 'no-cache' },
    })),
  );

  exchanges(
    () => server.url,
    closed.map(([method, path]) => ({
      name: `refuses another account ${method} ${path}`,
      method,
      path,
      headers: BOB,
      body: method === 'PUT' ? '[]' : '',
      status: 403,
      json: { error: 'not allowed for this account' },
      answer: { 'x-docker-token': undefined },
    })),
  );

  exchanges(
    () => server.url,
    [
      { name: 'wants no login for a ping', path: '/v1/_ping', status: 200 },
      { name: 'wants no login for the status', path: '/v1/_status', status: 200 },
      {
        name: 'wants no login for the old authorisation route',
        method: 'PUT',
        path: '/v1/repositories/hidden/auth',
        status: 200,
      },
      {
        name: 'shows an image of a repository that the account may read, and to it alone',
        path: `/v1/images/${open.id}/json`,
        headers: BOB,
        status: 200,
        answer: { 'cache-control': 'private, max-age=31536000' },
      },
      ...images.slice(0, 5).map(([method, path]) => ({
        name: `hides an image of a repository that the account may not read: ${path.replace(secret.id, 'ID')}`,
        method,
        path,
        headers: { ...BOB, 'if-modified-since': new Date().toUTCString(), 'if-none-match': '*' },
        status: 404,
        json: { error: 'Image not found' },
      })),
      {
        name: 'takes garbage for no login',
        path: '/v1/repositories/public/tags',
        headers: { authorization: 'Token signature="' },
        status: 401,
      },
      {
        name: 'has dropped X-Signature, which opened everything to who held the key',
        path: '/v1/repositories/public/tags',
        headers: { 'x-signature': 'v=1; data=AAAA' },
        status: 401,
      },
    ],
  );

  it('gives a token for one repository, and takes it with a second Token before it', async () => {
    const path = '/v1/repositories/public';
    const first = await send(server.url, { path: `${path}/images`, headers: BOB });
    const token = String(first.headers['x-docker-token']);
    assert.match(token, /^Token signature=[0-9a-f]{16},repository="public",access=read$/);
    for (const authorization of [token, `Token ${token}`]) {
      const headers = { authorization };
      const tags = await send(server.url, { path: `${path}/tags`, headers });
      assert.equal(tags.status, 200);
      const image = await send(server.url, { path: `/v1/images/${open.id}/layer`, headers });
      assert.equal(image.status, 200);
      const other = await send(server.url, { path: '/v1/repositories/bob/app/tags', headers });
      assert.equal(other.status, 403);
      const push = await send(server.url, {
        method: 'PUT',
        path: `/v1/images/${open.id}/json`,
        body: '{}',
        headers,
      });
      assert.equal(push.status, 401);
    }
  });

  it('pushes and looks up by the token of the announcement', async () => {
    const answer = await send(server.url, {
      method: 'PUT',
      path: '/v1/repositories/bob/app/',
      body: '[]',
      headers: BOB,
    });
    const headers = { authorization: `Token ${answer.headers['x-docker-token']}` };
    const image = await makeImage("bob's");
    await pushImage(server.url, image, headers);
    const tag = await send(server.url, {
      method: 'PUT',
      path: '/v1/repositories/bob/app/tags/v1',
      body: JSON.stringify(image.id),
      headers,
    });
    assert.equal(tag.status, 200);
    assert.equal(server.events.at(-1)?.user, 'bob');
    const look = await send(server.url, { path: `/v1/images/${image.id}/json`, headers });
    assert.equal(look.status, 200);
    const hidden = await send(server.url, { path: `/v1/images/${secret.id}/json`, headers });
    assert.equal(hidden.status, 404);
  });
});
