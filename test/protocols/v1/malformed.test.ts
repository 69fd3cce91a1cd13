import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Exchange, exchanges, send } from '../../support/exchanges.ts';
import { idOf, makeImage, pushLine } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const ID = idOf('image');

const BAD_NAMES = [
  'UPPER',
  'a%20b',
  'a%00b',
  '%00',
  '..',
  '%2e%2e',
  '..%2f..%2fetc%2fpasswd',
  '%2fetc',
  'a%2f..%2fb',
  'a/../../b',
  'a/%2e%2e/b',
  'a%2F%2Fb',
  'a//b',
  'a/./b',
  '-a',
  'a-',
  '_a',
  'a...b',
  'a:b',
  'a@sha256',
  'a~b',
  '%C3%A9',
  '%E2%80%AE',
  '%F0%9F%90%B3',
  '%zz',
  '%',
  '%ff%fe',
  'a%0ab',
  'a%5cb',
  'a*b',
  'a'.repeat(256),
  `${'a/'.repeat(128)}a`,
];

const NAMED_ROUTES: [string, string][] = [
  ['PUT', '/'],
  ['DELETE', '/'],
  ['GET', '/images'],
  ['PUT', '/images'],
  ['GET', '/tags'],
  ['GET', '/tags/v1'],
  ['PUT', '/tags/v1'],
  ['DELETE', '/tags/v1'],
  ['GET', '/tags/v1/json'],
  ['GET', '/json'],
  ['GET', '/properties'],
  ['PUT', '/properties'],
];

const BAD_IDS = [
  'A'.repeat(64),
  'g'.repeat(64),
  'a'.repeat(63),
  'a'.repeat(65),
  'a'.repeat(15),
  'a'.repeat(17),
  'a',
  '..',
  '%2e%2e',
  '%2e%2e%2f%2e%2e',
  '%00',
  `${'a'.repeat(64)}%0a`,
  `${'a'.repeat(64)}%00`,
  `%20${'a'.repeat(64)}`,
  `sha256:${'a'.repeat(64)}`,
  '%C3%A9'.repeat(64),
  '%zz',
  'a%2fb',
  'a'.repeat(5000),
];

const IMAGE_ROUTES: [string, string][] = [
  ['GET', 'json'],
  ['GET', 'layer'],
  ['GET', 'ancestry'],
  ['GET', 'files'],
  ['GET', 'diff'],
  ['PUT', 'json'],
  ['PUT', 'layer'],
  ['PUT', 'checksum'],
];

const BAD_TAGS = [
  '-a',
  '.a',
  'a%20b',
  'a%2fb',
  'a%00b',
  '%00',
  'a:b',
  'a@b',
  '%C3%A9',
  'a%0a',
  'a%5cb',
  '%2e%2e',
  '%2e%2e%2f%2e%2e%2fx',
  'a'.repeat(129),
  '%zz',
  'a*',
  '%F0%9F%90%B3',
];

const NO_JSON = ['', 'x', '{', '[', '"', '[1,]', "{'id': 1}", 'undefined', 'NaN', '\ufeff', '[]x'];
const NO_LIST = ['{}', '"a"', '1', 'true', 'null', '0', '{"0": {}}'];
const BAD_ENTRIES = [
  '1',
  'null',
  '"a"',
  '[]',
  '{}',
  '{"Id": "a"}',
  '{"id": null}',
  '{"id": 1}',
  '{"id": ""}',
  '{"id": "a"}',
  `{"id": "${'A'.repeat(64)}"}`,
  `{"id": "${ID}\\n"}`,
  '{"id": "../../etc"}',
  '{"id": "h\\u00e9"}',
  `{"id": ["${ID}"]}`,
  `{"id": "${ID}", "Tag": 1}`,
  `{"id": "${ID}", "Tag": "../x"}`,
  `{"id": "${ID}", "Tag": "${'a'.repeat(129)}"}`,
  `{"id": "${ID}", "checksum": {}}`,
];
const NO_IMAGE_JSON = ['', 'x', '{', '[]', '{}', '1', 'null', '"a"', '[{"id": 1}]', '{"id": }'];
const BAD_IMAGE_JSON = [
  '{"a": 1}',
  '{"id": null}',
  '{"id": 1}',
  '{"id": ""}',
  `{"id": "${'0'.repeat(64)}"}`,
  `{"id": "${ID}\\n"}`,
  `{"id": "${ID}", "parent": "${'0'.repeat(64)}"}`,
  `{"id": "${ID}", "parent": "../x"}`,
  `{"id": "${ID}", "parent": 1}`,
];
const BAD_TAG_BODIES = ['', 'x', '""', '1', 'null', 'true', '[]', '{}', `["${ID}"]`, ID, `"${ID}`];
const NO_IMAGES = [
  'a',
  '../x',
  'h\\u00e9',
  'A'.repeat(64),
  `${ID}\\n`,
  ID.slice(1),
  'a/b',
  '\\u0000',
];
const NO_PROPERTIES = ['', 'x', '[]', '{}', '1', 'null', '"private"', '{"Access": "private"}'];

function rows(
  values: readonly string[],
  row: (value: string, shown: string) => Omit<Exchange, 'name'>,
  what: string,
): Exchange[] {
  return values.map((value) => {
    const shown = value.length > 60 ? `${value.slice(0, 50)}… (${value.length})` : value;
    return { name: `${what} ${JSON.stringify(shown)}`, ...row(value, shown) };
  });
}

describe('malformed V1 requests', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
    await pushLine(server.url, 'box', 'v1', [await makeImage('whole')]);
  });
  after(async () => {
    await server.close();
    assert.deepEqual(server.errors, [], 'a request was a crash');
  });

  for (const [method, suffix] of NAMED_ROUTES) {
    exchanges(
      () => server.url,
      rows(
        BAD_NAMES,
        (name) => ({
          method,
          path: `/v1/repositories/${name}${suffix}`,
          body: method === 'PUT' ? '[]' : '',
          status: 400,
          text: /invalid repository name: /,
        }),
        `refuses ${method} …${suffix} of the name`,
      ),
    );
  }

  for (const [method, what] of IMAGE_ROUTES) {
    exchanges(
      () => server.url,
      rows(
        BAD_IDS,
        (id) => ({
          method,
          path: `/v1/images/${id}/${what}`,
          body: method === 'PUT' ? '{}' : '',
          status: 404,
          json: { error: 'Invalid image ID' },
        }),
        `refuses ${method} ${what} of the id`,
      ),
    );
  }

  const put = (path: string, status: number, error?: string) => (body: string) => ({
    method: 'PUT',
    path,
    body,
    status,
    ...(error !== undefined && { json: { error } }),
  });
  const tagPath = (tag: string) => `/v1/repositories/box/tags/${tag}`;
  const imagePath = `/v1/images/${ID}/json`;
  exchanges(
    () => server.url,
    [
      ...rows(
        BAD_TAGS,
        (tag) => ({ ...put(tagPath(tag), 400)(`"${ID}"`), text: /^\{"error": "Invalid tag name/ }),
        'refuses to set the tag',
      ),
      ...rows(
        BAD_TAGS,
        (tag) => ({ path: tagPath(tag), status: 404, json: { error: 'Tag not found' } }),
        'does not find the tag',
      ),
      ...rows(
        BAD_TAGS,
        (tag) => ({ method: 'DELETE', path: tagPath(tag), status: 404, text: /Tag not found: / }),
        'does not delete the tag',
      ),
      ...rows(
        NO_JSON,
        put('/v1/repositories/box/', 400, 'Error Decoding JSON'),
        'refuses to announce',
      ),
      ...rows(
        NO_JSON,
        put('/v1/repositories/box/images', 400, 'Error Decoding JSON'),
        'refuses for a list',
      ),
      ...rows(NO_LIST, put('/v1/repositories/box/', 400, 'Invalid data'), 'refuses to announce'),
      ...rows(
        NO_LIST,
        put('/v1/repositories/box/images', 400, 'Invalid data'),
        'refuses for a list',
      ),
      ...rows(
        BAD_ENTRIES,
        (entry) => ({
          ...put('/v1/repositories/box/images', 400)(`[{"id": "${ID}"}, ${entry}]`),
          text: /^\{"error": "Invalid data: .*entry 1/,
        }),
        'refuses a list with the entry',
      ),
      ...rows(NO_IMAGE_JSON, put(imagePath, 400, 'Invalid JSON'), 'refuses for an image'),
      ...rows(BAD_IMAGE_JSON, put(imagePath, 400), 'refuses the image'),
      ...rows(BAD_TAG_BODIES, put(tagPath('t'), 400, 'Invalid data'), 'refuses to tag'),
      ...rows(
        NO_IMAGES,
        (id) => put(tagPath('t'), 404, 'Image not found')(`"${id}"`),
        'refuses to tag the image',
      ),
      ...rows(NO_PROPERTIES, put('/v1/repositories/box/properties', 400), 'refuses the properties'),
      ...rows(
        NO_JSON,
        (body) => ({
          method: 'POST',
          path: '/v1/users/',
          body,
          status: 400,
          json: { error: 'Error Decoding JSON' },
        }),
        'refuses the account',
      ),
      ...rows(
        ['0', '-1', '1.5', 'x', '1e3', '%00', '9'.repeat(30), ' 1'.trim().concat('x')],
        (n) => ({
          path: `/v1/search?n=${n}`,
          status: 400,
          json: { error: 'n must be a number from 1 on' },
        }),
        'refuses a search with n of',
      ),
    ],
  );

  for (const [method, path] of [
    ['POST', '/v1/_ping'],
    ['PUT', '/v1/search'],
    ['DELETE', '/v1/users/'],
    ['PATCH', '/v1/users/a/'],
    ['POST', `/v1/images/${ID}/json`],
    ['DELETE', `/v1/images/${ID}/layer`],
    ['PUT', `/v1/images/${ID}/ancestry`],
    ['PUT', `/v1/images/${ID}/files`],
    ['PATCH', `/v1/images/${ID}/checksum`],
    ['POST', '/v1/repositories/box/images'],
    ['POST', '/v1/repositories/box/tags'],
    ['POST', '/v1/repositories/box/tags/v1'],
    ['GET', '/v1/repositories/box/'],
    ['GET', '/v1/repositories/box/auth'],
    ['LINK', '/v1/_ping'],
  ] as const) {
    it(`refuses the method ${method} of ${path.replace(ID, 'ID')}`, async () => {
      const answer = await send(server.url, { method, path, body: method === 'GET' ? '' : '{}' });
      assert.equal(answer.status, 405);
      assert.match(answer.headers.allow ?? '', /[A-Z]/);
      assert.match(answer.body.toString(), /^\{"error": "/);
    });
  }

  for (const path of [
    '/v1/images',
    '/v1/images/',
    `/v1/images/${ID}`,
    `/v1/images/${ID}/`,
    `/v1/images/${ID}/nothing`,
    `/v1/images/${ID}/json/more`,
    `/v1/images//json`,
    '/v1/repositories',
    '/v1/repositories/',
    '/v1/search/more',
    '/v1/users/a/b',
    '/v1/../v1/nothing',
    '/v1/%2e%2e/etc',
    '/v1//_ping',
  ]) {
    it(`has nothing at ${path.replace(ID, 'ID')}`, async () => {
      const answer = await send(server.url, { path });
      assert.equal(answer.status, 404);
      assert.match(answer.body.toString(), /^\{"error": "/);
    });
  }

  it('survives deeply nested JSON', async () => {
    const body = '['.repeat(30_000);
    const answer = await send(server.url, { method: 'PUT', path: '/v1/repositories/box/', body });
    assert.equal(answer.status, 400);
    const closed = `${body}${']'.repeat(30_000)}`;
    const list = await send(server.url, {
      method: 'PUT',
      path: '/v1/repositories/box/',
      body: closed,
    });
    assert.equal(list.status, 400);
  });

  it('refuses keys that would poison an object', async () => {
    const body = '[{"id": "x", "__proto__": {"a": 1}}]';
    const answer = await send(server.url, { method: 'PUT', path: '/v1/repositories/box/', body });
    assert.equal(answer.status, 400);
  });

  it('answers a body that is shorter than announced by closing, and lives on', async () => {
    for (const path of ['/v1/repositories/box/', `/v1/images/${ID}/json`, '/v1/users/']) {
      const method = path === '/v1/users/' ? 'POST' : 'PUT';
      await breakOff(
        server.port,
        `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n[`,
      );
    }
    assert.equal((await send(server.url, { path: '/v1/_ping' })).status, 200);
  });

  it('is as before: no refused request has left anything', async () => {
    const tags = await send(server.url, { path: '/v1/repositories/box/tags' });
    assert.equal(tags.body.toString(), `{"v1": "${idOf('whole')}"}`);
    const images = await send(server.url, { path: '/v1/repositories/box/images' });
    assert.equal(images.body.toString(), `[{"id": "${idOf('whole')}"}]`);
    assert.equal((await send(server.url, { path: `/v1/images/${ID}/json` })).status, 404);
  });
});

function breakOff(port: number, request: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.write(request);
      setTimeout(() => {
        socket.destroy();
        setTimeout(resolve, 30);
      }, 30);
    });
  });
}
