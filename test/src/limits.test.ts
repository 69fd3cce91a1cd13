import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { limitRequests, limitUploads } from '../../src/limits.ts';
import { NO_PEERS } from '../../src/peers.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import { type RunningServer, serveApp } from '../support/app-server.ts';
import { type Answer, jsonOf, request } from '../support/http-client.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V2Client } from '../support/v2-client.ts';

describe('the limit of requests', () => {
  let server: RunningServer;
  let time = 1_000_000;
  const from = (address: string) =>
    request(`${server.url}/v2/`, { headers: { 'X-Forwarded-For': address } });
  before(async () => {
    server = await serveApp(new MemoryDriver(), {
      guards: [limitRequests(3, NO_PEERS, () => time)],
    });
  });
  after(() => server.stop());

  it('refuses what is above with 429 and says when to come again', async () => {
    for (let n = 0; n < 3; n += 1) assert.equal((await from('10.0.0.1')).status, 200);
    const refused = await from('10.0.0.1');
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], '20');
    const { errors } = jsonOf<{ errors: { code: string; message: string }[] }>(refused);
    assert.equal(errors[0]?.code, 'TOOMANYREQUESTS');
    assert.match(errors[0]?.message ?? '', /more than 3 requests a minute from 10\.0\.0\.1/);
  });

  it('counts each address by itself, and a whole IPv6 network as one', async () => {
    assert.equal((await from('10.0.0.2')).status, 200);
    for (const last of ['1', '2', '3']) assert.equal((await from(`2001:db8::${last}`)).status, 200);
    assert.equal((await from('2001:db8:0:0:ffff::9')).status, 429);
    assert.equal((await from('2001:db8:0:1::9')).status, 200);
  });

  it('lets a client go on after the time that it was told', async () => {
    time += 19_000;
    assert.equal((await from('10.0.0.1')).status, 429);
    time += 1000;
    assert.equal((await from('10.0.0.1')).status, 200);
    assert.equal((await from('10.0.0.1')).status, 429);
  });
});

describe('the limit of uploads', () => {
  let server: RunningServer;
  let client: V2Client;
  before(async () => {
    const guards = [limitUploads(2, { waitMs: 300 })];
    server = await serveApp(new MemoryDriver(), { guards });
    client = new V2Client(server.url);
  });
  after(() => server.stop());

  /** An upload whose bytes come when the test says so. */
  async function slowUpload(): Promise<{ body: PassThrough; answer: Promise<Answer> }> {
    const started = await client.call('POST', '/v2/a/blobs/uploads/');
    const location = new URL(started.headers.location ?? '', server.url);
    location.searchParams.set('digest', sha256(Buffer.from('hello')));
    const body = new PassThrough();
    body.write('hel');
    const answer = request(location.href, { method: 'PUT', body });
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { body, answer };
  }

  it('has the third wait until one of two is through', async () => {
    // Starting an upload counts too, so both run only once they were started.
    const first = await slowUpload();
    const started = await client.call('POST', '/v2/a/blobs/uploads/');
    assert.equal(started.status, 202);
    const second = await slowUpload();
    const waiting = client.call('POST', '/v2/a/blobs/uploads/');
    const early = await Promise.race([waiting, new Promise((r) => setTimeout(r, 100, 'waits'))]);
    assert.equal(early, 'waits');
    first.body.end('lo');
    assert.equal((await first.answer).status, 201);
    assert.equal((await waiting).status, 202);
    second.body.end('lo');
    assert.equal((await second.answer).status, 201);
  });

  it('refuses with 429 and Retry-After who waits too long; reads are not held up', async () => {
    const running = [await slowUpload(), await slowUpload()];
    const refused = await client.call('POST', '/v2/a/blobs/uploads/');
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], '5');
    assert.equal((await client.call('GET', '/v2/a/tags/list')).status < 500, true);
    for (const { body } of running) body.end('lo');
    for (const { answer } of running) assert.equal((await answer).status, 201);
  });

  it('gives back the place of a client that went away', async () => {
    for (let n = 0; n < 4; n += 1) {
      const { body, answer } = await slowUpload();
      body.destroy(new Error('gone'));
      await assert.rejects(answer);
    }
    assert.equal((await client.call('POST', '/v2/a/blobs/uploads/')).status, 202);
  });
});
