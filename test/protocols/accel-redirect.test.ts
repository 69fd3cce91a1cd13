import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ChildServer, startIsthmus } from '../support/child-server.ts';
import { request } from '../support/http-client.ts';
import { makeV2Image } from '../support/images.ts';
import { Seeded } from '../support/seeded.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V2Client } from '../support/v2-client.ts';

const LARGE = new Seeded(1).bytes(100_000);
const SMALL = new Seeded(2).bytes(1000);
const IMAGE = makeV2Image({ seed: 3, layers: 1, bytes: 100_000 });
const TOP = sha256(IMAGE.config).slice('sha256:'.length);
const PROXIED = { 'x-forwarded-for': '192.0.2.1' };

describe('an nginx in front that sends files itself', () => {
  const storage = mkdtempSync(join(tmpdir(), 'accel-'));
  const start = (trusted: string) =>
    startIsthmus({
      storage,
      env: {
        REGISTRY_STORAGE_ACCELREDIRECT: '/blobs',
        REGISTRY_HTTP_TRUSTEDPROXIES: `["${trusted}"]`,
      },
    });
  let server: ChildServer;
  let stranger: ChildServer;

  before(async () => {
    [server, stranger] = await Promise.all([start('127.0.0.1'), start('10.0.0.1')]);
    const client = new V2Client(server.url);
    for (const bytes of [LARGE, SMALL]) await client.pushBlob('team/app', bytes);
    await client.pushImage('team/app', 'latest', IMAGE);
    assert.equal((await client.call('GET', '/v1/repositories/team/app/tags')).status, 200);
  });
  after(async () => {
    await Promise.all([server.stop(), stranger.stop()]);
    rmSync(storage, { recursive: true });
  });

  const get = (bytes: Buffer, headers: Record<string, string>, from = server, method = 'GET') =>
    request(`${from.url}/v2/team/app/blobs/${sha256(bytes)}`, { method, headers });

  it('is told where the file of a blob is, with all that is known of it', async () => {
    const { status, headers, body } = await get(LARGE, PROXIED);
    assert.equal(status, 200);
    assert.equal(body.length, 0);
    const location = String(headers['x-accel-redirect']);
    assert.match(location, /^\/blobs\/docker\/registry\/v2\/blobs\/sha256\//);
    assert.ok(readFileSync(location.replace('/blobs', storage)).equals(LARGE));
    assert.equal(headers['docker-content-digest'], sha256(LARGE));
    assert.equal(headers.etag, `"${sha256(LARGE)}"`);
    assert.equal(headers['content-type'], 'application/octet-stream');
    assert.equal(headers['accept-ranges'], 'bytes');
  });

  it('takes ranges from the file, but for those that lie outside', async () => {
    const inside = await get(LARGE, { ...PROXIED, range: 'bytes=10-20' });
    assert.equal(inside.status, 200);
    assert.ok(inside.headers['x-accel-redirect']);
    const outside = await get(LARGE, { ...PROXIED, range: 'bytes=100000-' });
    assert.equal(outside.status, 416);
    assert.equal(outside.headers['x-accel-redirect'], undefined);
  });

  it('is told of the layers of V1 images, too', async () => {
    const url = `${server.url}/v1/images/${TOP}/layer`;
    const { status, headers } = await request(url, { headers: PROXIED });
    assert.equal(status, 200);
    const location = String(headers['x-accel-redirect']);
    const layer = IMAGE.layers[0]?.bytes as Buffer;
    assert.ok(readFileSync(location.replace('/blobs', storage)).equals(layer));
    const direct = await request(url);
    assert.ok(direct.body.equals(layer));
  });

  const otherwise: [string, () => ReturnType<typeof get>, number, Buffer | undefined][] = [
    ['a client that came without a proxy', () => get(LARGE, {}), 200, LARGE],
    ['a client that pretends to be a proxy', () => get(LARGE, PROXIED, stranger), 200, LARGE],
    ['a small blob', () => get(SMALL, PROXIED), 200, SMALL],
    ['HEAD', () => get(LARGE, PROXIED, server, 'HEAD'), 200, undefined],
    [
      'a client that has the blob',
      () => get(LARGE, { ...PROXIED, 'if-none-match': `"${sha256(LARGE)}"` }),
      304,
      undefined,
    ],
    ['a blob that is not there', () => get(Buffer.from('x'), PROXIED), 404, undefined],
  ];
  for (const [name, ask, status, body] of otherwise) {
    it(`has nothing to do for ${name}`, async () => {
      const answer = await ask();
      assert.equal(answer.status, status);
      assert.equal(answer.headers['x-accel-redirect'], undefined);
      if (body) assert.ok(answer.body.equals(body));
      if (name === 'HEAD') assert.equal(answer.headers['content-length'], String(LARGE.length));
    });
  }
});
