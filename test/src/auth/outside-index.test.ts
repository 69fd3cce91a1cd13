import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openService, type Service } from '../../../src/service.ts';
import { type RunningServer, serve } from '../../support/app-server.ts';
import { collectingLog } from '../../support/collecting-log.ts';
import { flavor } from '../../support/config.ts';
import { FakeIndex } from '../../support/fake-index.ts';
import { header, jsonOf, request } from '../../support/http-client.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import { V1Client } from '../../support/v1-client.ts';
import { V1Error } from '../../support/v1-session.ts';

const ANN = { username: 'ann', password: 'secret' };

/** A registry whose index is elsewhere, wired as it is served. */
async function start(
  index: FakeIndex,
  more = '',
): Promise<{ server: RunningServer; service: Service }> {
  const { config } = flavor(
    `standalone: false\nindex_endpoint: "${index.url}/"\nstorage: inmemory\n${more}`,
  );
  const service = await openService(config, collectingLog());
  return { service, server: await serve(service.handler) };
}

describe('a registry that is not standalone', () => {
  let index: FakeIndex;
  let running: Awaited<ReturnType<typeof start>>;
  const images = makeV1Chain({ seed: 301, layers: 3 });
  const [base] = images as [V1Image];

  before(async () => {
    index = await FakeIndex.start();
    running = await start(index);
    index.registry = running.server.url.replace('http://', '');
  });
  after(async () => {
    await running.server.stop();
    await running.service.close();
    await index.stop();
  });

  const call = (method: 'GET' | 'PUT' | 'DELETE', path: string, token?: string, body?: string) =>
    request(running.server.url + path, {
      method,
      ...(token !== undefined && { headers: { authorization: `Token ${token}` } }),
      ...(body !== undefined && { body }),
    });
  const errorOf = async (answer: ReturnType<typeof call>) => {
    const { status, body } = await answer;
    return `${status} ${(JSON.parse(body.toString()) as { error: string }).error}`;
  };

  for (const version of ['0.7.6', '1.5.0'] as const) {
    it(`takes pushes and pulls of docker ${version} that the index lets through`, async () => {
      const name = `ann/app-${version}`;
      const client = new V1Client(index.url, version, ANN);
      await client.push(name, 'v1', images);
      const pulled = await new V1Client(index.url, version).pull(name, 'v1');
      assert.deepEqual(
        pulled.images.map(({ id, layer }) => ({ id, layer })),
        images.map(({ id, layer }) => ({ id, layer })),
      );
    });
  }

  it('says so, and leaves accounts and image lists to the index', async () => {
    const ping = await call('GET', '/v1/_ping');
    assert.equal(header(ping.headers, 'x-docker-registry-standalone'), 'False');
    assert.equal((await call('GET', '/v1/users/')).status, 404);
    assert.equal((await call('GET', '/v1/repositories/ann/app-1.5.0/images')).status, 405);
  });

  it('lets nobody in without a token of the index', async () => {
    const paths = [
      `/v1/images/${base.id}/json`,
      `/v1/images/${base.id}/layer`,
      '/v1/repositories/ann/app-1.5.0/tags',
    ];
    for (const path of paths) {
      assert.equal((await call('GET', path)).status, 401);
      const forged = 'signature=0123456789ABCDEF,repository="ann/app-1.5.0",access=read';
      const answer = await call('GET', path, forged);
      assert.equal(answer.status, 401);
      assert.equal(header(answer.headers, 'www-authenticate'), 'Token');
    }
    assert.equal((await request(`${running.server.url}/v2/ann/app-1.5.0/tags/list`)).status, 403);
  });

  it('takes a token for its repository and its access only', async () => {
    const read = index.token('ann/app-1.5.0', 'read');
    assert.equal((await call('GET', '/v1/repositories/ann/app-1.5.0/tags', read)).status, 200);
    const put = call('PUT', '/v1/repositories/ann/app-1.5.0/tags/v2', read, `"${base.id}"`);
    assert.equal((await put).status, 401);
    assert.equal((await call('GET', '/v1/repositories/ann/app-0.7.6/tags', read)).status, 401);
    const other = index.token('bob/app', 'read');
    assert.equal((await call('GET', `/v1/images/${base.id}/layer`, other)).status, 404);
    const write = index.token('ann/app-1.5.0', 'write');
    assert.equal(
      (await call('DELETE', '/v1/repositories/ann/app-1.5.0/tags/v1', write)).status,
      401,
    );
    const drop = index.token('ann/app-0.7.6', 'delete');
    assert.equal(
      (await call('DELETE', '/v1/repositories/ann/app-0.7.6/tags/v1', drop)).status,
      200,
    );
  });

  it('takes only the images that the index lists', async () => {
    const [listed, unlisted] = makeV1Chain({ seed: 302, layers: 2 }) as [V1Image, V1Image];
    index.lists.set('ann/listed', new Set([listed.id]));
    const token = index.token('ann/listed', 'write');
    const put = (image: V1Image, json = image.json.toString()) =>
      call('PUT', `/v1/images/${image.id}/json`, token, json);
    assert.equal((await put(listed)).status, 200);
    assert.equal(await errorOf(put(unlisted)), '400 This image does not belong to the repository');
    assert.match(await errorOf(put(unlisted, '{')), /^400 Invalid JSON/);
    assert.match(await errorOf(put(unlisted, '{"id":"x"}')), /^400 JSON data contains invalid id/);
  });

  it('asks the index about a token once for many requests', async () => {
    const before = index.checks;
    const token = index.token('ann/app-1.5.0', 'read');
    for (let n = 0; n < 5; n += 1) {
      await call('GET', '/v1/repositories/ann/app-1.5.0/tags', token);
    }
    assert.equal(index.checks, before + 1);
  });

  it('says that the index is away, and lets nobody in meanwhile', async () => {
    const gone = await FakeIndex.start();
    const own = await start(gone);
    const token = gone.token('ann/app', 'write');
    await gone.stop();
    const answer = await request(`${own.server.url}/v1/images/${base.id}/json`, {
      headers: { authorization: `Token ${token}` },
    });
    assert.equal(answer.status, 503);
    assert.match(jsonOf<{ error: string }>(answer).error, /index .* did not answer/);
    await own.server.stop();
    await own.service.close();
  });

  it('checks no tokens and no lists where the operator has switched that off', async () => {
    const own = await start(index, 'disable_token_auth: true');
    const put = await request(`${own.server.url}/v1/images/${base.id}/json`, {
      method: 'PUT',
      headers: { authorization: 'Token signature=X,repository="a/b",access=write' },
      body: base.json,
    });
    assert.equal(put.status, 200);
    await own.server.stop();
    await own.service.close();
  });

  it('refuses the push of whom the index does not know', async () => {
    await assert.rejects(
      new V1Client(index.url).push('ann/stolen', 'v1', images),
      (error) => error instanceof V1Error && error.status === 401,
    );
  });
});
