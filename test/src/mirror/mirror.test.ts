import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { observeMirror } from '../../../src/metrics/mirror-metrics.ts';
import { MetricRegistry } from '../../../src/metrics/registry.ts';
import { prometheusText } from '../../../src/metrics/snapshot.ts';
import { basic } from '../../support/accounts.ts';
import { header, open, request } from '../../support/http-client.ts';
import type { V1Image } from '../../support/images.ts';
import { assertSame, layerPath, top, useMirror } from '../../support/mirror-rig.ts';
import { V1Client } from '../../support/v1-client.ts';

const rig = useMirror(100);

describe('a mirror', () => {
  it("counts by distribution's names what it had and what it fetched", async () => {
    const images = await rig.push('team/counted', { layers: 2 });
    await new V1Client(rig.mirror.url).pull('team/counted', 'v1');
    await rig.allStored(images);
    const metrics = new MetricRegistry();
    observeMirror(metrics, rig.mirror.counts);
    const read = async () => {
      const text = prometheusText(await metrics.snapshot());
      return (name: string, type: string) =>
        Number(
          new RegExp(`^registry_proxy_${name}\\{type="${type}"\\} (\\d+)$`, 'm').exec(text)?.[1],
        );
    };
    const first = await read();
    const layers = images.reduce((sum, { layer }) => sum + layer.length, 0);
    assert.equal(first('pulled_bytes_total', 'blob'), layers);
    assert.equal(first('misses_total', 'manifest'), 1);
    assert.ok(first('misses_total', 'blob') >= 2);
    await new V1Client(rig.mirror.url).pull('team/counted', 'v1');
    const second = await read();
    for (const name of ['pulled_bytes_total', 'misses_total']) {
      for (const type of ['blob', 'manifest']) assert.equal(second(name, type), first(name, type));
    }
    const hits = second('hits_total', 'blob') - first('hits_total', 'blob');
    assert.ok(hits >= 4, `${hits} hits`);
    assert.equal(second('requests_total', 'blob'), first('requests_total', 'blob') + hits);
  });

  for (const version of ['0.7.6', '1.5.0', '1.9.1', '1.13.1'] as const) {
    it(`gives docker ${version} what upstream has, and keeps it`, async (context) => {
      const own = await rig.begin(context, { v2: false });
      const name = `team/app-${version}`;
      const images = await rig.push(name);
      const client = new V1Client(own.url, version);
      assertSame(images, (await client.pull(name, 'v1')).images);
      await rig.allStored(images, own);
      rig.relay.take();
      assertSame(images, (await client.pull(name, 'v1')).images);
      assert.deepEqual(rig.relay.take(), []);
    });
  }

  it('says of itself that it is one', async () => {
    const answer = await request(`${rig.mirror.url}/v1/_ping`);
    assert.equal(header(answer.headers, 'x-docker-registry-standalone'), 'mirror');
  });

  it('fetches short names and their long form alike', async () => {
    const images = await rig.push('ubuntu', { layers: 1 });
    assertSame(images, (await new V1Client(rig.mirror.url).pull('ubuntu', 'v1')).images);
  });

  it('knows nothing that upstream does not', async () => {
    const status = async (path: string) => (await request(rig.mirror.url + path)).status;
    assert.equal(await status('/v1/repositories/no/thing/tags'), 404);
    assert.equal(await status('/v1/repositories/no/thing/images'), 404);
    assert.equal(await status('/v1/repositories/no/thing/tags/v1'), 404);
    assert.equal(await status(`/v1/images/${'0'.repeat(64)}/json`), 404);
    assert.equal(await status(`/v1/images/${'0'.repeat(64)}/layer`), 404);
  });

  it('sends upstream nothing that its client sent, and passes down no header of upstream', async () => {
    const [image] = (await rig.push('a/headers', { layers: 1 })) as [V1Image];
    rig.forPath(`/v1/images/${image.id}/json`, (incoming, response) => {
      response.setHeader('set-cookie', 'spy=1');
      response.setHeader('x-docker-size', String(image.layer.length));
      response.setHeader('x-evil', '1');
      assert.equal(incoming.headers.cookie, undefined);
      response.end(image.json);
    });
    const answer = await request(`${rig.mirror.url}/v1/images/${image.id}/json?secret=1`, {
      headers: { authorization: basic('ann', 'secret'), cookie: 'session=1', 'x-own': '1' },
    });
    assert.deepEqual(answer.body, image.json);
    assert.equal(header(answer.headers, 'x-docker-size'), String(image.layer.length));
    assert.equal(header(answer.headers, 'set-cookie'), undefined);
    assert.equal(header(answer.headers, 'x-evil'), undefined);
    assert.equal(rig.relay.requests.length, 2);
    for (const { headers, url } of rig.relay.requests) {
      assert.equal(headers.authorization, undefined);
      assert.equal(headers['x-own'], undefined);
      assert.ok(!url?.includes('secret'));
    }
  });

  it('logs in upstream as itself', async (context) => {
    await rig.push('a/login', { layers: 1 });
    const ours = basic('mirror', 'p:w');
    for (const config of [
      { username: 'mirror', password: 'p:w' },
      { source: rig.relay.url.replace('//', '//mirror:p%3Aw@') },
    ]) {
      const own = await rig.begin(context, { config });
      await request(`${own.url}/v1/repositories/a/login/tags`, {
        headers: { authorization: basic('ann', 'secret') },
      });
    }
    assert.equal(rig.relay.requests.length, 4);
    for (const { headers } of rig.relay.requests) assert.equal(headers.authorization, ours);
  });

  it('fetches a layer once, however many clients want it, and lets them resume', async () => {
    const images = await rig.push('a/crowd', { layers: 2, bytes: 400_000 });
    const pull = () => new V1Client(rig.mirror.url).pull('a/crowd', 'v1', { cutAfter: 100_000 });
    for (const { images: pulled } of await Promise.all([pull(), pull(), pull(), pull()])) {
      assertSame(images, pulled);
    }
    await rig.allStored(images);
    const layers = rig.relay.take().filter((path) => path.endsWith('/layer'));
    assert.deepEqual(layers.sort(), images.map(layerPath).sort());
  });

  it('streams a layer while it comes', async () => {
    const [image] = (await rig.push('a/stream', { layers: 1, bytes: 300_000 })) as [V1Image];
    let finish = () => {};
    rig.forPath(layerPath(image), (_, response) => {
      response.write(image.layer.subarray(0, 200_000));
      finish = () => response.end(image.layer.subarray(200_000));
    });
    const answer = await open(rig.mirror.url + layerPath(image));
    let got = 0;
    for await (const chunk of answer) {
      got += (chunk as Buffer).length;
      if (got === 200_000) finish();
    }
    assert.equal(got, image.layer.length);
  });

  it('stores what lies below, though only the top was asked for', async () => {
    const images = await rig.push('a/below');
    const answer = await request(rig.mirror.url + layerPath(top(images)));
    assert.deepEqual(answer.body, top(images).layer);
    await rig.allStored(images);
  });

  it('goes on with a layer when upstream breaks off', async () => {
    const [image] = (await rig.push('a/broken', { layers: 1, bytes: 300_000 })) as [V1Image];
    let times = 0;
    rig.relay.intercept = (incoming, response) => {
      if (incoming.url !== layerPath(image) || times > 0) return false;
      times += 1;
      response.writeHead(200, { 'content-length': image.layer.length });
      response.write(image.layer.subarray(0, 100_000));
      setTimeout(() => response.destroy(), 100);
      return true;
    };
    assert.deepEqual((await request(rig.mirror.url + layerPath(image))).body, image.layer);
    assert.match(rig.relay.requests.at(-1)?.headers.range ?? '', /^bytes=[1-9]\d*-$/);
    await rig.allStored([image]);
  });
});
