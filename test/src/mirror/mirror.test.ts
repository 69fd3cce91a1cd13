import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, it, type TestContext } from 'node:test';
import { observeMirror } from '../../../src/metrics/mirror-metrics.ts';
import { MetricRegistry } from '../../../src/metrics/registry.ts';
import { prometheusText } from '../../../src/metrics/snapshot.ts';
import type { RepositoryName, V1ImageId } from '../../../storage/names.ts';
import { basic, testAccounts } from '../../support/accounts.ts';
import { eventually } from '../../support/eventually.ts';
import { header, jsonOf, open, request } from '../../support/http-client.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import { type RunningMirror, startMirror } from '../../support/mirror.ts';
import { Relay } from '../../support/relay.ts';
import { V1Client } from '../../support/v1-client.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';
import { V1Error } from '../../support/v1-session.ts';

let upstream: RunningRegistry;
let relay: Relay;
let mirror: RunningMirror;
let seed = 100;

before(async () => {
  upstream = await startRegistry();
  relay = await Relay.start(() => upstream.url);
});
after(async () => {
  await relay.stop();
  await upstream.close();
});
beforeEach(async (context) => {
  relay.take();
  relay.intercept = () => false;
  mirror = await startMirror(relay.url);
  if ('after' in context) context.after(() => mirror.close());
});

/** A mirror of the test's own, ended with it. */
async function begin(
  context: TestContext,
  options: Parameters<typeof startMirror>[1],
): Promise<RunningMirror> {
  const own = await startMirror(relay.url, options);
  context.after(() => own.close());
  return own;
}

/** An image that upstream has, and nobody else. */
async function pushUpstream(name: string, layers = 3, bytes?: number): Promise<V1Image[]> {
  seed += 1;
  const images = makeV1Chain({ seed, layers, ...(bytes !== undefined && { bytes }) });
  await new V1Client(upstream.url).push(name, 'v1', images);
  return images;
}

const stored = ({ id }: V1Image, at = mirror) =>
  at.registry.content.explicit.get(id as V1ImageId).then((image) => image !== undefined);
const allStored = (images: V1Image[], at = mirror) =>
  eventually(
    async () => (await Promise.all(images.map((image) => stored(image, at)))).every(Boolean),
    'all images stored',
  );
const layerPath = ({ id }: V1Image) => `/v1/images/${id}/layer`;
const top = (images: V1Image[]) => images.at(-1) as V1Image;
const forPath = (path: string, answer: (request: IncomingMessage, r: ServerResponse) => void) => {
  relay.intercept = (incoming, response) => {
    if (incoming.url !== path) return false;
    answer(incoming, response);
    return true;
  };
};

function assertSame(images: V1Image[], pulled: V1Image[]): void {
  assert.deepEqual(
    pulled.map(({ id, json, layer }) => ({ id, json, layer })),
    images.map(({ id, json, layer }) => ({ id, json, layer })),
  );
}

describe('a mirror', () => {
  it("counts by distribution's names what it had and what it fetched", async () => {
    const images = await pushUpstream('team/counted', 2);
    await new V1Client(mirror.url).pull('team/counted', 'v1');
    await allStored(images);
    const metrics = new MetricRegistry();
    observeMirror(metrics, mirror.counts);
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
    await new V1Client(mirror.url).pull('team/counted', 'v1');
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
      const mirror = await begin(context, { v2: false });
      const name = `team/app-${version}`;
      const images = await pushUpstream(name);
      const client = new V1Client(mirror.url, version);
      assertSame(images, (await client.pull(name, 'v1')).images);
      await allStored(images, mirror);
      relay.take();
      assertSame(images, (await client.pull(name, 'v1')).images);
      assert.deepEqual(relay.take(), []);
    });
  }

  it('says of itself that it is one', async () => {
    const answer = await request(`${mirror.url}/v1/_ping`);
    assert.equal(header(answer.headers, 'x-docker-registry-standalone'), 'mirror');
  });

  it('fetches short names and their long form alike', async () => {
    const images = await pushUpstream('ubuntu', 1);
    assertSame(images, (await new V1Client(mirror.url).pull('ubuntu', 'v1')).images);
  });

  it('knows nothing that upstream does not', async () => {
    const status = async (path: string) => (await request(mirror.url + path)).status;
    assert.equal(await status('/v1/repositories/no/thing/tags'), 404);
    assert.equal(await status('/v1/repositories/no/thing/images'), 404);
    assert.equal(await status('/v1/repositories/no/thing/tags/v1'), 404);
    assert.equal(await status(`/v1/images/${'0'.repeat(64)}/json`), 404);
    assert.equal(await status(`/v1/images/${'0'.repeat(64)}/layer`), 404);
  });

  it('sends upstream nothing that its client sent, and passes down no header of upstream', async () => {
    const [image] = (await pushUpstream('a/headers', 1)) as [V1Image];
    forPath(`/v1/images/${image.id}/json`, (incoming, response) => {
      response.setHeader('set-cookie', 'spy=1');
      response.setHeader('x-docker-size', String(image.layer.length));
      response.setHeader('x-evil', '1');
      assert.equal(incoming.headers.cookie, undefined);
      response.end(image.json);
    });
    const answer = await request(`${mirror.url}/v1/images/${image.id}/json?secret=1`, {
      headers: { authorization: basic('ann', 'secret'), cookie: 'session=1', 'x-own': '1' },
    });
    assert.deepEqual(answer.body, image.json);
    assert.equal(header(answer.headers, 'x-docker-size'), String(image.layer.length));
    assert.equal(header(answer.headers, 'set-cookie'), undefined);
    assert.equal(header(answer.headers, 'x-evil'), undefined);
    assert.equal(relay.requests.length, 2);
    for (const { headers, url } of relay.requests) {
      assert.equal(headers.authorization, undefined);
      assert.equal(headers['x-own'], undefined);
      assert.ok(!url?.includes('secret'));
    }
  });

  it('logs in upstream as itself', async (context) => {
    await pushUpstream('a/login', 1);
    const ours = basic('mirror', 'p:w');
    for (const config of [
      { username: 'mirror', password: 'p:w' },
      { source: relay.url.replace('//', '//mirror:p%3Aw@') },
    ]) {
      const own = await begin(context, { config });
      await request(`${own.url}/v1/repositories/a/login/tags`, {
        headers: { authorization: basic('ann', 'secret') },
      });
    }
    assert.equal(relay.requests.length, 4);
    for (const { headers } of relay.requests) assert.equal(headers.authorization, ours);
  });

  it('fetches a layer once, however many clients want it, and lets them resume', async () => {
    const images = await pushUpstream('a/crowd', 2, 400_000);
    const pull = () => new V1Client(mirror.url).pull('a/crowd', 'v1', { cutAfter: 100_000 });
    for (const { images: pulled } of await Promise.all([pull(), pull(), pull(), pull()])) {
      assertSame(images, pulled);
    }
    await allStored(images);
    const layers = relay.take().filter((path) => path.endsWith('/layer'));
    assert.deepEqual(layers.sort(), images.map(layerPath).sort());
  });

  it('streams a layer while it comes', async () => {
    const [image] = (await pushUpstream('a/stream', 1, 300_000)) as [V1Image];
    let finish = () => {};
    forPath(layerPath(image), (_, response) => {
      response.write(image.layer.subarray(0, 200_000));
      finish = () => response.end(image.layer.subarray(200_000));
    });
    const answer = await open(mirror.url + layerPath(image));
    let got = 0;
    for await (const chunk of answer) {
      got += (chunk as Buffer).length;
      if (got === 200_000) finish();
    }
    assert.equal(got, image.layer.length);
  });

  it('stores what lies below, though only the top was asked for', async () => {
    const images = await pushUpstream('a/below');
    const answer = await request(mirror.url + layerPath(top(images)));
    assert.deepEqual(answer.body, top(images).layer);
    await allStored(images);
  });

  it('goes on with a layer when upstream breaks off', async () => {
    const [image] = (await pushUpstream('a/broken', 1, 300_000)) as [V1Image];
    let times = 0;
    relay.intercept = (incoming, response) => {
      if (incoming.url !== layerPath(image) || times > 0) return false;
      times += 1;
      response.writeHead(200, { 'content-length': image.layer.length });
      response.write(image.layer.subarray(0, 100_000));
      setTimeout(() => response.destroy(), 100);
      return true;
    };
    assert.deepEqual((await request(mirror.url + layerPath(image))).body, image.layer);
    assert.match(relay.requests.at(-1)?.headers.range ?? '', /^bytes=[1-9]\d*-$/);
    await allStored([image]);
  });
});

describe('a mirror of an upstream that', () => {
  const rows: [string, (image: V1Image, response: ServerResponse) => void][] = [
    [
      'sends another layer than it promised',
      ({ layer }, response) => response.end(Buffer.alloc(layer.length)),
    ],
    ['sends too little', ({ layer }, response) => response.end(layer.subarray(0, 100))],
    [
      'sends too much',
      ({ layer }, response) => response.end(Buffer.concat([layer, Buffer.alloc(10)])),
    ],
    ['breaks off again and again', (_, response) => response.destroy()],
    ['stops in the middle', ({ layer }, response) => response.write(layer.subarray(0, 100))],
    ['never answers', () => undefined],
    ['has lost the layer', (_, response) => response.writeHead(404).end()],
    ['fails', (_, response) => response.writeHead(500).end()],
  ];
  for (const [what, answer] of rows) {
    it(`${what}, gives no whole layer and stores nothing`, async () => {
      const images = await pushUpstream('a/false', 2);
      forPath(layerPath(top(images)), (_, response) => answer(top(images), response));
      await assert.rejects(request(mirror.url + layerPath(top(images))));
      await eventually(
        () => mirror.lines.some(({ event }) => event === 'image not mirrored'),
        'the warning',
      );
      assert.equal(await stored(top(images)), false);
      relay.intercept = () => false;
      await new Promise((done) => setTimeout(done, 250));
      assertSame(images, (await new V1Client(mirror.url).pull('a/false', 'v1')).images);
      await allStored(images);
    });
  }

  it('lies about what is below an image stores nothing of it', async () => {
    const images = await pushUpstream('a/ancestry', 3);
    const { id } = top(images);
    const [base] = images;
    for (const ancestry of [[id, base?.id], [id], [id, id], [id, 'x'], {}, [base?.id, id]]) {
      forPath(`/v1/images/${id}/ancestry`, (_, response) => {
        response.end(JSON.stringify(ancestry));
      });
      assert.equal((await request(mirror.url + layerPath(top(images)))).status, 503);
    }
    const [, middle] = images as [V1Image, V1Image];
    forPath(`/v1/images/${id}/ancestry`, (_, response) => {
      response.end(JSON.stringify([id, middle.id]));
    });
    await request(mirror.url + layerPath(top(images)));
    await eventually(
      () => mirror.lines.some(({ event }) => event === 'image not mirrored'),
      'the warning',
    );
    assert.equal(await stored(top(images)), false);
  });

  it('gives another image than the one asked for stores nothing', async () => {
    const [one, other] = (await pushUpstream('a/other', 2)) as [V1Image, V1Image];
    forPath(`/v1/images/${one.id}/json`, (_, response) => response.end(other.json));
    assert.equal((await request(`${mirror.url}/v1/images/${one.id}/json`)).status, 503);
  });

  it('says neither sizes nor sums is believed', async () => {
    const [image] = (await pushUpstream('a/silent', 1)) as [V1Image];
    forPath(`/v1/images/${image.id}/json`, (_, response) => response.end(image.json));
    const json = await request(`${mirror.url}/v1/images/${image.id}/json`);
    assert.equal(header(json.headers, 'x-docker-size'), String(image.layer.length));
    assert.ok(await stored(image));
  });

  it('hangs is waited for no longer than the limit', async () => {
    await pushUpstream('a/hang', 1);
    relay.intercept = () => true;
    const started = Date.now();
    const answer = await request(`${mirror.url}/v1/repositories/a/hang/tags`);
    assert.equal(answer.status, 503);
    assert.match(jsonOf<{ error: string }>(answer).error, /did not answer/);
    assert.ok(Date.now() - started < 2000);
    const again = Date.now();
    assert.equal((await request(`${mirror.url}/v1/repositories/a/hang/tags`)).status, 503);
    assert.ok(Date.now() - again < 200, 'it is left alone for a while');
  });
});

describe('tags of a mirror', () => {
  it('are asked for again when their time is over, and served on while upstream is down', async (context) => {
    await pushUpstream('a/tags', 1);
    const own = await begin(context, { config: { tagsCacheSeconds: 0.3 } });
    const tags = async () => jsonOf(await request(`${own.url}/v1/repositories/a/tags/tags`));
    const first = await tags();
    relay.take();
    assert.deepEqual(await tags(), first);
    assert.deepEqual(relay.take(), []);
    await new Promise((done) => setTimeout(done, 350));
    const images = makeV1Chain({ seed: 7000, layers: 1 });
    await new V1Client(upstream.url).push('a/tags', 'v2', images);
    assert.deepEqual(await tags(), { ...(first as object), v2: top(images).id });
    await new Promise((done) => setTimeout(done, 350));
    relay.intercept = (_, response) => {
      response.destroy();
      return true;
    };
    assert.deepEqual(await tags(), { ...(first as object), v2: top(images).id });
    assert.ok(own.lines.some(({ event }) => /old tags/.test(event)));
  });

  it('live in the shared cache, for other nodes and for times when upstream is down', async (context) => {
    await pushUpstream('a/shared', 1);
    const entries = new Map<string, Buffer>();
    const shared = {
      get: async (key: string) => entries.get(key),
      set: (key: string, value: Buffer | string) => void entries.set(key, Buffer.from(value)),
    };
    const [one, two] = [await begin(context, { shared }), await begin(context, { shared })];
    const tags = async (at: RunningMirror) =>
      jsonOf(await request(`${at.url}/v1/repositories/a/shared/tags`));
    const first = await tags(one);
    relay.intercept = (_, response) => {
      response.destroy();
      return true;
    };
    relay.take();
    assert.deepEqual(await tags(two), first);
    assert.deepEqual(relay.take(), []);
  });
});

describe('pushes to a mirror', () => {
  it('stay here, and are seen beside what upstream has', async () => {
    const theirs = await pushUpstream('a/both', 1);
    const ours = makeV1Chain({ seed: 8000, layers: 2 });
    const client = new V1Client(mirror.url);
    await client.push('a/both', 'ours', ours);
    await client.push('a/both', 'v1', ours);
    const tags = await request(`${mirror.url}/v1/repositories/a/both/tags`);
    assert.deepEqual(jsonOf(tags), { ours: top(ours).id, v1: top(ours).id });
    assert.equal(
      jsonOf(await request(`${upstream.url}/v1/repositories/a/both/tags/v1`)) as string,
      top(theirs).id,
    );
    assert.equal((await request(`${upstream.url}/v1/images/${top(ours).id}/json`)).status, 404);
    assertSame(ours, (await client.pull('a/both', 'v1')).images);
    relay.intercept = (_, response) => {
      response.destroy();
      return true;
    };
    assertSame(ours, (await client.pull('a/both', 'ours')).images);
  });

  it('may build on an image that only upstream has', async () => {
    const theirs = await pushUpstream('a/base', 2);
    const own = makeV1Chain({ seed: 8100, layers: 1 })[0] as V1Image;
    const json = Buffer.from(JSON.stringify({ id: own.id, parent: top(theirs).id }));
    const image: V1Image = { id: own.id, parent: top(theirs).id, json, layer: own.layer };
    const client = new V1Client(mirror.url);
    const report = await client.push('a/derived', 'v1', [...theirs, image]);
    assert.deepEqual(report.uploaded, [own.id]);
    assertSame([...theirs, image], (await client.pull('a/derived', 'v1')).images);
    await client.push('a/retagged', 'v1', theirs);
    const v2 = await request(`${mirror.url}/v2/a/retagged/manifests/v1`);
    assert.equal(v2.status, 200);
  });
});

describe('the search of a mirror', () => {
  it("finds what is here and what is upstream, with upstream's descriptions", async () => {
    forPath('/v1/search?q=find', (_, response) => {
      const results = [
        { name: 'library/find-me', description: 'theirs' },
        { name: 'Bad Name', description: '' },
        { name: 'z/find', description: 'last' },
      ];
      response.end(JSON.stringify({ query: 'find', num_results: 3, results }));
    });
    const client = new V1Client(mirror.url);
    await client.push('find-me', 'v1', makeV1Chain({ seed: 9000, layers: 1 }));
    await client.push('a/find', 'v1', makeV1Chain({ seed: 9001, layers: 1 }));
    assert.deepEqual(await client.search('find'), [
      { name: 'a/find', description: '' },
      { name: 'find-me', description: 'theirs' },
      { name: 'z/find', description: 'last' },
    ]);
    relay.intercept = (_, response) => {
      response.destroy();
      return true;
    };
    assert.deepEqual(await client.search('a/f'), [{ name: 'a/find', description: '' }]);
  });
});

describe('a mirror with accounts', () => {
  it('fetches images only through repositories that the session may read', async (context) => {
    const open = await pushUpstream('public', 2);
    const secret = await pushUpstream('secret/app', 2);
    const own = await begin(context, { access: testAccounts() });
    const ann = new V1Client(own.url, '1.5.0', { username: 'ann', password: 'secret' });
    const bob = new V1Client(own.url, '1.5.0', { username: 'bob', password: 'builder' });
    const asBob = (image: V1Image, file: string) =>
      request(`${own.url}/v1/images/${image.id}/${file}`, {
        headers: { authorization: basic('bob', 'builder') },
      });
    assertSame(open, (await bob.pull('public', 'v1')).images);
    await allStored(open, own);
    assert.equal((await asBob(top(open), 'json')).status, 200);
    for (const image of secret) assert.equal((await asBob(image, 'layer')).status, 404);
    await assert.rejects(
      bob.pull('secret/app', 'v1'),
      (error) => error instanceof V1Error && error.status === 403,
    );
    assertSame(secret, (await ann.pull('secret/app', 'v1')).images);
    await allStored(secret, own);
    for (const image of secret) assert.equal((await asBob(image, 'layer')).status, 404);
    assert.equal(
      await own.registry.content.repository('secret/app' as RepositoryName).exists(),
      false,
    );
  });

  it('does not open a private image to whoever makes upstream name it', async (context) => {
    const own = await begin(context, { access: testAccounts() });
    const [image] = makeV1Chain({ seed: 9100, layers: 1 }) as [V1Image];
    await new V1Client(own.url, '1.5.0', { username: 'ann', password: 'secret' }).push(
      'ann/private',
      'v1',
      [image],
    );
    const answers: Record<string, string> = {
      '/v1/repositories/public/tags': JSON.stringify({ v1: image.id }),
      '/v1/repositories/public/images': JSON.stringify([{ id: image.id }]),
      [`/v1/images/${image.id}/json`]: image.json.toString(),
      [`/v1/images/${image.id}/ancestry`]: JSON.stringify([image.id]),
    };
    relay.intercept = (incoming, response) => {
      const answer = answers[incoming.url ?? ''];
      if (answer === undefined) response.writeHead(404).end();
      else response.setHeader('x-docker-size', image.layer.length).end(answer);
      return true;
    };
    const bob = { authorization: basic('bob', 'builder') };
    const tags = await request(`${own.url}/v1/repositories/public/tags`, { headers: bob });
    assert.equal(tags.status, 200);
    await assert.rejects(request(own.url + layerPath(image), { headers: bob }));
  });
});
