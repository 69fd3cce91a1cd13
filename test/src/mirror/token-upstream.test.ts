import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { openService, type Service } from '../../../src/service.ts';
import { type RunningServer, serve } from '../../support/app-server.ts';
import { SCHEMA2 } from '../../support/bridge-client.ts';
import { collectingLog } from '../../support/collecting-log.ts';
import { flavor } from '../../support/config.ts';
import { FakeIndex } from '../../support/fake-index.ts';
import { request } from '../../support/http-client.ts';
import { makeV1Chain } from '../../support/images.ts';
import { startMirror } from '../../support/mirror.ts';
import { Relay } from '../../support/relay.ts';
import { V1Client } from '../../support/v1-client.ts';

describe('a mirror of a registry that answers to tokens of its index only', () => {
  let index: FakeIndex;
  let service: Service;
  let server: RunningServer;
  let relay: Relay;
  const images = makeV1Chain({ seed: 620, layers: 3 });

  before(async () => {
    index = await FakeIndex.start();
    const text = `standalone: false\nindex_endpoint: "${index.url}"\nstorage: inmemory`;
    service = await openService(flavor(text).config, collectingLog());
    server = await serve(service.handler);
    relay = await Relay.start(() => server.url);
    index.registry = server.url.replace('http://', '');
    const ann = { username: 'ann', password: 'secret' };
    await new V1Client(index.url, '1.5.0', ann).push('ann/app', 'v1', images);
  });
  after(async () => {
    await relay.stop();
    await server.stop();
    await service.close();
    await index.stop();
  });

  /** Ended with its test. */
  const begin = async (context: TestContext, v2 = false) => {
    const mirror = await startMirror(relay.url, { config: { sourceIndex: index.url }, v2 });
    context.after(() => mirror.close());
    return mirror;
  };

  for (const version of ['0.7.6', '1.5.0', '1.13.1'] as const) {
    it(`gives docker ${version} what it has, by tokens that the index gives to us`, async (context) => {
      const mirror = await begin(context);
      relay.requests.splice(0);
      const { images: pulled } = await new V1Client(mirror.url, version).pull('ann/app', 'v1');
      assert.deepEqual(
        pulled.map(({ id }) => id),
        images.map(({ id }) => id),
      );
      assert.deepEqual(
        pulled.map(({ layer }) => layer),
        images.map(({ layer }) => layer),
      );
      const sent = relay.requests.map(({ headers }) => headers.authorization ?? 'nothing');
      assert.equal(sent.filter((header) => header === 'nothing').length, 1, 'it learns once');
      assert.ok(
        sent.slice(1).every((header) => /^Token signature=\w+,repository="ann\/app"/.test(header)),
      );
    });
  }

  it('gives it over V2 as well', async (context) => {
    const mirror = await begin(context, true);
    const answer = await request(`${mirror.url}/v2/ann/app/manifests/v1`, {
      headers: { accept: SCHEMA2 },
    });
    assert.equal(answer.status, 200);
  });

  it('asks for a new token when the old one is not taken any more', async (context) => {
    const mirror = await begin(context);
    const tags = () => request(`${mirror.url}/v1/repositories/ann/app/tags`);
    assert.equal((await tags()).status, 200);
    let refused = 0;
    relay.intercept = (_, response) => {
      refused += 1;
      if (refused > 1) return false;
      response.writeHead(401).end();
      return true;
    };
    const [top] = [...images].reverse();
    assert.equal((await request(`${mirror.url}/v1/images/${top?.id}/layer`)).status, 200);
    assert.ok(refused > 1);
    relay.intercept = () => false;
  });

  it('has nothing where the index gives us none', async (context) => {
    const mirror = await begin(context);
    assert.equal((await request(`${mirror.url}/v1/repositories/ann/other/tags`)).status, 404);
    const [top] = [...images].reverse();
    assert.equal((await request(`${mirror.url}/v1/images/${top?.id}/json`)).status, 404);
  });
});
