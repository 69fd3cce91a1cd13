import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  BridgeClient,
  type ChainImage,
  OCI,
  SCHEMA2,
  storedBlobs,
  wipeDerived,
} from '../support/bridge-client.ts';
import { header, jsonOf } from '../support/http-client.ts';
import { makeV2Image } from '../support/images.ts';
import { startServer, type TestServer, useServer } from '../support/server.ts';
import { makeLayer, sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';

interface Body {
  config: { digest: string };
  layers: { digest: string; mediaType: string }[];
}

/** The chain under new IDs, its layers compressed anew, as an engine sends what it did not keep compressed. */
function repacked(name: string, layers: readonly Buffer[]): ChainImage[] {
  const chain: ChainImage[] = [];
  for (const [n, layer] of layers.entries()) {
    const id = sha256(`${name} ${n}`).slice(7);
    const parent = chain.at(-1)?.id;
    const json = Buffer.from(JSON.stringify({ id, ...(parent && { parent }) }));
    chain.push({ id, json, layer: gzipSync(gunzipSync(layer), { level: 1 }) });
  }
  return chain;
}

describe('a layer that an engine compressed anew', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);
  const image = makeV2Image({ seed: 20, layers: 4, bytes: 5_000 });
  const layersOf = async (name: string, tag: string) =>
    jsonOf<Body>(await client.manifest(name, tag, SCHEMA2)).layers.map(({ digest }) => digest);

  it('is kept once: docker 1.12 pulls over V1 and pushes its own config, and no layer is added', async () => {
    await new V2Client(server.url).pushImage('twins/first', 'v1', image);
    const { images } = await new V1Client(server.url).pull('twins/first', 'v1');
    const before = await storedBlobs(server.driver);
    // docker knows the images below by their chain IDs and sends a top of its own over them.
    const id = sha256('another config').slice(7);
    const parent = images.at(-2)?.id;
    const json = Buffer.from(JSON.stringify({ id, parent, docker_version: '1.12.6' }));
    const layer = gzipSync(gunzipSync(images.at(-1)?.layer ?? Buffer.alloc(0)), { level: 1 });
    assert.ok(!before.has(sha256(layer)), 'the bytes are other ones');
    const pushed = images.slice(0, -1).concat({ id, parent, json, layer });
    const report = await new V1Client(server.url).push('twins/second', 'v1', pushed);
    assert.deepEqual(report.uploaded, [id]);

    const added = [...(await storedBlobs(server.driver))].filter((digest) => !before.has(digest));
    assert.equal(added.length, 3, 'a config and two manifests');
    assert.deepEqual(await layersOf('twins/second', 'v1'), await layersOf('twins/first', 'v1'));
    const back = await new V1Client(server.url).pull('twins/second', 'v1');
    assert.deepEqual(back.images.at(-1)?.json, json);
    assert.deepEqual(back.images.at(-1)?.layer, images.at(-1)?.layer);
  });

  it('keeps the sum that the client sent, and may be sent again', async () => {
    const chain = repacked(
      'sums',
      image.layers.map(({ bytes }) => bytes),
    );
    await client.pushV1('twins/sums', 'v1', chain);
    for (const { id, json, layer } of chain) {
      const sum = createHash('sha256').update(json).update('\n').update(layer).digest('hex');
      const answer = await client.expect(200, 'GET', `/v1/images/${id}/json`);
      assert.equal(header(answer.headers, 'x-docker-checksum-payload'), `sha256:${sum}`);
      assert.ok(!(await storedBlobs(server.driver)).has(sha256(layer)));
    }
    assert.deepEqual(
      await layersOf('twins/sums', 'v1'),
      image.layers.map(({ digest }) => digest),
    );
  });

  it('is kept as it came over another base', async () => {
    const [first, second] = image.layers;
    const chain = repacked(
      'other base',
      [second, first].map((layer) => layer?.bytes ?? Buffer.alloc(0)),
    );
    await client.pushV1('twins/other-base', 'v1', chain);
    assert.deepEqual(
      await layersOf('twins/other-base', 'v1'),
      chain.map(({ layer }) => sha256(layer)),
    );
  });

  it('is kept as it came when it is not gzip', async () => {
    const id = sha256('plain').slice(7);
    const tar = image.layers[0]?.tar ?? Buffer.alloc(0);
    await client.pushV1('twins/plain', 'v1', [
      { id, json: Buffer.from(`{"id":"${id}"}`), layer: tar },
    ]);
    assert.deepEqual(await layersOf('twins/plain', 'v1'), [sha256(tar)]);
  });

  it('is kept as it came where linkTwins is switched off', async () => {
    const off = await startServer({ content: { bridge: { linkTwins: false } } });
    try {
      const own = new BridgeClient(() => off.url);
      await new V2Client(off.url).pushImage('twins/first', 'v1', image);
      await own.v1Tag('twins/first', 'v1');
      const chain = repacked(
        'off',
        image.layers.map(({ bytes }) => bytes),
      );
      await own.pushV1('twins/off', 'v1', chain);
      const body = jsonOf<Body>(await own.manifest('twins/off', 'v1', SCHEMA2));
      assert.deepEqual(
        body.layers.map(({ digest }) => digest),
        chain.map(({ layer }) => sha256(layer)),
      );
    } finally {
      await off.close();
    }
  });
});

describe('the ID of a virtual image', () => {
  const told: string[] = [];
  const server = useServer({
    content: { bridge: { onContradiction: (id, manifest) => told.push(`${id} ${manifest}`) } },
  });
  const client = new BridgeClient(() => server.url);
  const image = makeV2Image({ seed: 25, layers: 2 });
  const base = image.layers[0]?.diffId.slice(7) ?? '';
  const liar = {
    id: base,
    json: Buffer.from(`{"id": "${base}", "comment": "not what it says"}`),
    layer: makeLayer([{ name: 'bin/sh', content: 'evil' }]).bytes,
  };

  it('proves itself against an image that was pushed under it before', async () => {
    await client.pushV1('liars/repo', 'v1', [liar]);
    assert.deepEqual((await client.v1Image(base)).layer, liar.layer);
    await new V2Client(server.url).pushImage('honest/repo', 'v1', image);
    const { images } = await new V1Client(server.url).pull('honest/repo', 'v1');
    assert.deepEqual(images[0]?.layer, image.layers[0]?.bytes);
    for (let time = 0; time < 3; time += 1) {
      assert.equal((await client.v1Image(base)).json.toString(), `{"id":"${base}"}`);
    }
    assert.deepEqual(told, [`${base} ${image.digest}`], 'the log hears of it once');
  });

  it('cannot be pushed: the engine hears that the image is there', async () => {
    const answer = await client.expect(409, 'PUT', `/v1/images/${base}/json`, {}, liar.json);
    assert.deepEqual(jsonOf(answer), { error: 'Image already exists' });
    const top = sha256(image.config).slice(7);
    await client.expect(409, 'PUT', `/v1/images/${top}/json`, {}, Buffer.from(`{"id":"${top}"}`));
  });

  it('is shown as it was pushed where the layers agree', async () => {
    const own = makeV2Image({ seed: 26, layers: 1 });
    const id = sha256(own.config).slice(7);
    const json = Buffer.from(`{ "id": "${id}", "comment": "as I sent it" }\n`);
    const layer = own.layers[0]?.bytes ?? Buffer.alloc(0);
    await client.pushV1('agreed/repo', 'v1', [{ id, json, layer }]);
    await new V2Client(server.url).pushImage('agreed/repo', 'v2', own);
    assert.equal(await client.v1Tag('agreed/repo', 'v2'), id);
    assert.deepEqual((await client.v1Image(id)).json, json);
  });
});

describe('with compressPlain', () => {
  let server: TestServer;
  const client = new BridgeClient(() => server.url);
  const { tar } = makeLayer([{ name: 'file', content: 'text '.repeat(5_000) }], 'tar');
  const chain = ['base', 'top'].map((name, n) => {
    const id = sha256(name).slice(7);
    const parent = n === 0 ? {} : { parent: sha256('base').slice(7) };
    return { id, json: Buffer.from(JSON.stringify({ id, ...parent })), layer: tar };
  });
  before(async () => {
    server = await startServer({ content: { bridge: { compressPlain: true } } });
    await client.pushV1('plain/repo', 'v1', chain);
  });
  after(() => server.close());

  it('V2 lists a plain layer compressed, once, and V1 gets it as it came', async () => {
    const { layers } = jsonOf<Body>(await client.manifest('plain/repo', 'v1', SCHEMA2));
    const [first, second] = layers;
    assert.deepEqual(first, second);
    assert.match(first?.mediaType ?? '', /\.gzip$/);
    const blob = await client.expect(200, 'GET', `/v2/plain/repo/blobs/${first?.digest}`);
    assert.ok(blob.body.length < tar.length);
    assert.deepEqual(gunzipSync(blob.body), tar);
    assert.deepEqual((await client.v1Image(chain[1]?.id ?? '')).layer, tar);
    const oci = jsonOf<Body>(await client.manifest('plain/repo', 'v1', OCI));
    assert.match(oci.layers[0]?.mediaType ?? '', /\+gzip$/);
    const schema1 = jsonOf<{ fsLayers: { blobSum: string }[] }>(
      await client.manifest('plain/repo', 'v1'),
    );
    assert.deepEqual(
      schema1.fsLayers.map(({ blobSum }) => blobSum),
      [first?.digest, first?.digest],
    );
  });

  it('keeps its digests when the option is switched', async () => {
    const { driver } = server;
    const digest = await client.digestOf('plain/repo', 'v1');
    const before = await storedBlobs(driver);
    const off = await startServer({ storage: driver });
    try {
      const own = new BridgeClient(() => off.url);
      await driver.delete('/docker/registry/v1/manifests');
      assert.equal(await own.digestOf('plain/repo', 'v1'), digest);
      const oci = jsonOf<Body>(await own.manifest('plain/repo', 'v1', OCI));
      assert.match(oci.layers[0]?.mediaType ?? '', /\+gzip$/);
      assert.deepEqual(await storedBlobs(driver), before);
    } finally {
      await off.close();
    }
  });

  it('gives the same digest again after its records were wiped', async () => {
    const digest = await client.digestOf('plain/repo', 'v1');
    await wipeDerived(server.driver);
    await client.tagV1('plain/repo', 'again', chain[1]?.id ?? '');
    assert.equal(await client.digestOf('plain/repo', 'again'), digest);
  });
});
