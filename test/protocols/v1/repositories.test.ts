import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { check, exchanges, send } from '../../support/exchanges.ts';
import { idOf } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const A = idOf('a');
const B = idOf('b');
const LIST = JSON.stringify([{ id: A }, { id: B, Tag: 'v1', checksum: 'tarsum+sha256:1' }]);
const WRITE = /^Token signature=[A-Z0-9]{16},repository="library\/box",access=write$/;

describe('V1 image lists', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'knows no images of a repository that is not there',
        path: '/v1/repositories/box/images',
        status: 404,
        json: { error: 'images not found' },
        answer: { 'x-docker-token': undefined },
      },
      {
        name: 'takes an announcement and hands out a session',
        method: 'PUT',
        path: '/v1/repositories/box/',
        body: LIST,
        headers: { 'x-docker-token': 'true', 'content-type': 'application/json', host: 'reg:5000' },
        status: 200,
        text: '""',
        answer: {
          'x-docker-token': WRITE,
          'www-authenticate': WRITE,
          'x-docker-endpoints': 'reg:5000',
          'cache-control': 'no-cache',
        },
      },
      {
        name: 'takes an announcement without the slash, and does not redirect',
        method: 'PUT',
        path: '/v1/repositories/box',
        body: '[]',
        status: 200,
        text: '""',
      },
      {
        name: 'lists what was announced, and hands out a session for reading',
        path: '/v1/repositories/box/images',
        status: 200,
        text: `[{"id": "${A}"}, {"checksum": "tarsum+sha256:1", "id": "${B}"}]`,
        answer: { 'x-docker-token': /access=read$/, vary: 'User-Agent' },
      },
      {
        name: 'takes the empty list at the end of a push with 204 exactly',
        method: 'PUT',
        path: '/v1/repositories/box/images',
        body: '[]',
        headers: { 'x-docker-endpoints': 'http://reg:5000/v1/' },
        status: 204,
        text: '',
        answer: { 'x-docker-token': WRITE, 'x-docker-endpoints': /^127\.0\.0\.1:\d+$/ },
      },
      {
        name: 'loses nothing to an empty list',
        path: '/v1/repositories/box/images',
        status: 200,
        json: [{ id: A }, { checksum: 'tarsum+sha256:1', id: B }],
      },
      {
        name: 'takes a slash after images for the same route',
        method: 'PUT',
        path: '/v1/repositories/box/images/',
        body: '[]',
        status: 204,
      },
      {
        name: 'did not make a repository called images',
        path: '/v1/repositories/box/images/images',
        status: 404,
      },
      {
        name: 'reads a list sent as a form',
        method: 'PUT',
        path: '/v1/repositories/box/',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: LIST,
        status: 200,
      },
      {
        name: 'reads a list sent as a multipart form',
        method: 'PUT',
        path: '/v1/repositories/box/',
        headers: { 'content-type': 'multipart/form-data; boundary=x' },
        body: LIST,
        status: 200,
      },
      {
        name: 'reads a list sent in chunks without a type',
        method: 'PUT',
        path: '/v1/repositories/box/',
        chunks: [LIST.slice(0, 10), LIST.slice(10)],
        status: 200,
      },
      {
        name: 'hands out a session to delete images, and deletes none',
        method: 'DELETE',
        path: '/v1/repositories/box/images',
        status: 204,
        answer: { 'x-docker-token': /access=delete$/ },
      },
      {
        name: 'says OK to the old authorisation route',
        method: 'PUT',
        path: '/v1/repositories/box/auth',
        status: 200,
        text: '"OK"',
        answer: { 'x-docker-token': undefined },
      },
      {
        name: 'answers HEAD on the images',
        method: 'HEAD',
        path: '/v1/repositories/box/images',
        status: 200,
        text: '',
      },
      {
        name: 'writes the name of a deep repository as it is',
        method: 'PUT',
        path: '/v1/repositories/a/b/c/',
        body: '[]',
        status: 200,
        answer: { 'x-docker-token': /repository="a\/b\/c"/ },
      },
      {
        name: 'refuses a list that is not JSON',
        method: 'PUT',
        path: '/v1/repositories/box/',
        body: 'nonsense',
        status: 400,
        json: { error: 'Error Decoding JSON' },
        answer: { 'x-docker-token': undefined },
      },
      {
        name: 'refuses an announcement without a body',
        method: 'PUT',
        path: '/v1/repositories/box/images',
        status: 400,
        json: { error: 'Error Decoding JSON' },
      },
      {
        name: 'refuses a list that is none',
        method: 'PUT',
        path: '/v1/repositories/box/',
        body: '{"id": "x"}',
        status: 400,
        json: { error: 'Invalid data' },
      },
      {
        name: 'refuses an entry without an id',
        method: 'PUT',
        path: '/v1/repositories/box/',
        body: `[{"id": "${A}"}, {"Tag": "v1"}]`,
        status: 400,
        json: { error: 'Invalid data: entry 1 has no id' },
      },
      {
        name: 'refuses an entry with a tag that cannot be',
        method: 'PUT',
        path: '/v1/repositories/box/images',
        body: `[{"id": "${A}", "Tag": "a/b"}]`,
        status: 400,
        json: { error: 'Invalid data: the Tag of entry 0 is not a valid tag' },
      },
      {
        name: 'refuses a list above the limit',
        method: 'PUT',
        path: '/v1/repositories/box/',
        body: `[${' '.repeat(65 << 10)}]`,
        status: 413,
        json: { error: 'the body is larger than the 65536 bytes allowed here' },
      },
      {
        name: 'refuses a list above the limit that comes in chunks',
        method: 'PUT',
        path: '/v1/repositories/box/',
        chunks: ['[', ' '.repeat(40 << 10), ' '.repeat(40 << 10), ']'],
        status: 413,
      },
      {
        name: 'leaves compressed JSON as it came, as ever',
        method: 'PUT',
        path: '/v1/repositories/box/',
        headers: { 'content-encoding': 'gzip' },
        body: '[]',
        status: 200,
      },
      {
        name: 'does not repeat a Host that is none',
        method: 'PUT',
        path: '/v1/repositories/box/',
        headers: { host: 'evil"host' },
        body: '[]',
        status: 200,
        answer: { 'x-docker-endpoints': undefined },
      },
    ],
  );
});

describe('V1 repositories', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.v1.endpoints = 'one.example, two.example:5000';
    });
  });
  after(() => server.close());

  exchanges(
    () => server.url,
    [
      {
        name: 'names the configured endpoints, whatever the Host',
        method: 'PUT',
        path: '/v1/repositories/box/',
        headers: { host: 'forged.example' },
        body: '[]',
        status: 200,
        answer: { 'x-docker-endpoints': 'one.example, two.example:5000' },
      },
      {
        name: 'takes every repository for public',
        path: '/v1/repositories/nowhere/properties',
        status: 200,
        text: '{"access": "public"}',
      },
      {
        name: 'notes that a repository is private',
        method: 'PUT',
        path: '/v1/repositories/box/properties',
        body: '{"access": "private"}',
        status: 200,
        text: 'true',
      },
      {
        name: 'leaves the note alone for an access that it does not know',
        method: 'PUT',
        path: '/v1/repositories/box/properties/',
        body: '{"access": "secret"}',
        status: 200,
        text: 'true',
      },
      {
        name: 'says that the repository is private',
        path: '/v1/repositories/box/properties',
        status: 200,
        text: '{"access": "private"}',
      },
      {
        name: 'refuses properties that are no object',
        method: 'PUT',
        path: '/v1/repositories/box/properties',
        body: '[]',
        status: 400,
        json: { error: 'Invalid data' },
      },
      {
        name: 'refuses empty properties',
        method: 'PUT',
        path: '/v1/repositories/box/properties',
        body: '{}',
        status: 400,
        json: { error: 'Invalid data' },
      },
      {
        name: 'refuses properties without access',
        method: 'PUT',
        path: '/v1/repositories/box/properties',
        body: '{"a": 1}',
        status: 400,
        json: { error: 'Invalid data: access is missing; use "private" or "public"' },
      },
      {
        name: 'refuses a method that the repository has not',
        method: 'POST',
        path: '/v1/repositories/box/',
        status: 405,
        answer: { allow: /PUT/ },
      },
      {
        name: 'deletes a repository',
        method: 'DELETE',
        path: '/v1/repositories/box/',
        status: 200,
        text: 'true',
      },
      {
        name: 'has nothing left of it',
        path: '/v1/repositories/box/images',
        status: 404,
      },
      {
        name: 'forgets its properties too',
        path: '/v1/repositories/box/properties',
        status: 200,
        text: '{"access": "public"}',
      },
      {
        name: 'does not delete it twice',
        method: 'DELETE',
        path: '/v1/repositories/box',
        status: 404,
        json: { error: 'Repository not found' },
      },
      {
        name: 'does not delete the tags of a repository that is not there',
        method: 'DELETE',
        path: '/v1/repositories/box/tags',
        status: 404,
        json: { error: 'Repository not found' },
      },
    ],
  );

  it('sends one header line for each endpoint', async () => {
    const raw = await fetch(`${server.url}/v1/repositories/x/`, { method: 'PUT', body: '[]' });
    assert.equal(raw.headers.get('x-docker-endpoints'), 'one.example, two.example:5000');
  });

  it('tells the event sink of a deleted repository', async () => {
    await send(server.url, { method: 'PUT', path: '/v1/repositories/gone/', body: '[]' });
    await send(server.url, { method: 'DELETE', path: '/v1/repositories/gone/tags' });
    const { action, protocol, repository, request } = server.events.at(-1) ?? {};
    assert.deepEqual([action, protocol, repository], ['delete', 'v1', 'gone']);
    assert.equal(request?.method, 'DELETE');
  });
});

describe('a V1 registry that may not change', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.readOnly = true;
    });
  });
  after(() => server.close());

  for (const path of [
    '/v1/repositories/a/',
    '/v1/repositories/a/images',
    '/v1/repositories/a/tags/x',
    '/v1/repositories/a/properties',
    `/v1/images/${A}/json`,
    `/v1/images/${A}/layer`,
    `/v1/images/${A}/checksum`,
  ]) {
    it(`refuses PUT ${path.replace(A, 'ID')}`, async () => {
      const row = { name: '', method: 'PUT', path, body: '[]', status: 405 };
      check(await send(server.url, row), { ...row, json: { error: 'this registry is read-only' } });
    });
  }
});

describe('a V1 registry without deletion', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry((registry) => {
      registry.deletion = false;
    });
  });
  after(() => server.close());

  for (const path of [
    '/v1/repositories/a/',
    '/v1/repositories/a/tags',
    '/v1/repositories/a/tags/x',
  ]) {
    it(`refuses DELETE ${path}`, async () => {
      const row = { name: '', method: 'DELETE', path, status: 405 };
      check(await send(server.url, row), row);
    });
  }
});
