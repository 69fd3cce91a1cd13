import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { StorageDriver } from '../../storage/driver.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import {
  BridgeClient,
  type ChainImage,
  OCI,
  SCHEMA2,
  storedBlobs,
} from '../support/bridge-client.ts';
import { fromBase64, readVector } from '../support/bridge-vectors.ts';
import { jsonOf } from '../support/http-client.ts';
import { makeV2Image } from '../support/images.ts';
import { startServer, useServer } from '../support/server.ts';
import { makeLayer, sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';

const hex = (name: string) => sha256(name).slice(7);
const tarLayer = makeLayer([{ name: 'file', content: 'text\n' }]);
const jsonImage = (id: string, more: object = {}, layer = tarLayer.bytes): ChainImage => ({
  id,
  json: Buffer.from(JSON.stringify({ id, ...more })),
  layer,
});

interface Layer {
  bytes: Buffer;
  claim: string;
  mediaType?: string;
  more?: object;
}

describe('a V1 push that makes no sense', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);

  const errorOf = async (status: number, id: string, json: Buffer | string) =>
    jsonOf<{ error: string }>(await client.expect(status, 'PUT', `/v1/images/${id}/json`, {}, json))
      .error;

  it('is refused when an image is its own parent, or its ancestor', async () => {
    const [a, b] = [hex('loop a'), hex('loop b')];
    assert.match(await errorOf(400, a, `{"id":"${a}","parent":"${a}"}`), /depends on itself/);
    assert.match(await errorOf(400, a, `{"id":"${a}","parent":"${b}"}`), /non existing parent/);
    await client.expect(200, 'PUT', `/v1/images/${a}/json`, {}, `{"id":"${a}"}`);
    await client.expect(200, 'PUT', `/v1/images/${b}/json`, {}, `{"id":"${b}","parent":"${a}"}`);
    assert.match(await errorOf(400, a, `{"id":"${a}","parent":"${b}"}`), /depends on itself/);
  });

  it('is refused when the JSON has another id, however the key is written', async () => {
    const id = hex('lies');
    const other = hex('other');
    assert.match(await errorOf(400, id, `{"id":"${other}"}`), /invalid id/);
    assert.match(await errorOf(400, id, `{"id":"${id}","ID":"${other}"}`), /invalid id/);
    assert.match(await errorOf(400, id, '{}'), /Invalid JSON/);
    assert.match(await errorOf(400, id, `{"id":"${id}"} trailing`), /Invalid JSON/);
    assert.match(await errorOf(400, id, `{"id":"${id}","parent":"../../../etc"}`), /64 hex/);
  });

  it('is refused when the sums are of other bytes, and leaves nothing to read or tag', async () => {
    const image = jsonImage(hex('sums'));
    await client.expect(200, 'PUT', `/v1/images/${image.id}/json`, {}, image.json);
    await client.expect(200, 'PUT', `/v1/images/${image.id}/layer`, {}, image.layer);
    const sums = { 'x-docker-checksum-payload': `sha256:${'0'.repeat(64)}` };
    const answer = await client.expect(400, 'PUT', `/v1/images/${image.id}/checksum`, sums);
    assert.match(answer.body.toString(), /Checksum mismatch/);
    await client.expect(400, 'GET', `/v1/images/${image.id}/json`);
    const tag = `/v1/repositories/bad/sums/tags/v1`;
    await client.expect(404, 'PUT', tag, {}, JSON.stringify(image.id));
    await client.expect(404, 'GET', '/v2/bad/sums/tags/list');
    assert.ok(!(await storedBlobs(server.driver)).has(sha256(image.layer)));
  });

  it('is refused when a tag comes before the layers below it', async () => {
    const [base, top] = [hex('unfinished base'), hex('unfinished top')];
    await client.expect(200, 'PUT', `/v1/images/${base}/json`, {}, `{"id":"${base}"}`);
    await client.pushV1Image(jsonImage(top, { parent: base }));
    const path = '/v1/repositories/bad/unfinished/tags/v1';
    await client.expect(404, 'PUT', path, {}, JSON.stringify(top));
    await client.expect(404, 'GET', '/v2/bad/unfinished/tags/list');
    await client.expect(404, 'GET', path);
  });

  it('is kept for V1 and has no V2 form when docker itself could not read its JSON', async () => {
    const images = {
      'a wrong type': { config: { Cmd: 7 } },
      'a fraction for an integer': { Size: 1.5 },
      'a bad time': { created: 'yesterday' },
    };
    for (const [name, more] of Object.entries(images)) {
      const image = jsonImage(hex(name), more);
      const repository = `bad/${name.replaceAll(' ', '-')}`;
      await client.pushV1(repository, 'v1', [image]);
      assert.equal(await client.v1Tag(repository, 'v1'), image.id);
      assert.deepEqual((await client.v1Image(image.id)).json, image.json);
      const answer = await client.manifest(repository, 'v1', SCHEMA2);
      assert.equal(answer.status, 404, name);
      assert.match(answer.body.toString(), /bad-json/, name);
    }
  });

  it('does not bring the server down with JSON a hundred thousand levels deep', async () => {
    const id = hex('deep');
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const put = await client.call('PUT', `/v1/images/${id}/json`, {}, `{"id":"${id}","x":${deep}}`);
    if (put.status === 200) {
      await client.pushV1('bad/deep', 'v1', [
        { id, json: Buffer.from(`{"id":"${id}","x":${deep}}`), layer: tarLayer.bytes },
      ]);
      assert.equal((await client.manifest('bad/deep', 'v1', SCHEMA2)).status, 404);
    } else {
      assert.equal(put.status, 400);
    }
    assert.deepEqual(server.failures, []);
  });

  for (const { name, blob } of readVector<{ bad: { name: string; blob: string }[] }>('layers.json')
    .bad) {
    it(`is kept for V1 and has no V2 form with ${name}`, async () => {
      const image = jsonImage(hex(name), {}, fromBase64(blob));
      const repository = `bad/layer-${hex(name).slice(0, 8)}`;
      await client.pushV1(repository, 'v1', [image]);
      assert.deepEqual((await client.v1Image(image.id)).layer, image.layer);
      const answer = await client.manifest(repository, 'v1', SCHEMA2);
      assert.equal(answer.status, 404);
      assert.match(answer.body.toString(), /bad-layer/);
      assert.deepEqual(await client.v2Tags(repository), []);
    });
  }
});

describe('a V2 push without a V1 view', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);
  const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
  const GZIP = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

  async function push(
    name: string,
    layers: Layer[],
    config: object | string = {},
    configType = DOCKER_CONFIG,
  ): Promise<Buffer> {
    const rootfs = { type: 'layers', diff_ids: layers.map(({ claim }) => claim) };
    const bytes = Buffer.from(
      typeof config === 'string' ? config : JSON.stringify({ rootfs, ...config }),
    );
    await client.pushBlob(name, bytes);
    for (const { bytes: layer, more } of layers) if (!more) await client.pushBlob(name, layer);
    const body = {
      schemaVersion: 2,
      mediaType: SCHEMA2,
      config: { mediaType: configType, size: bytes.length, digest: sha256(bytes) },
      layers: layers.map(({ bytes: layer, mediaType = GZIP, more }) => ({
        mediaType,
        size: layer.length,
        digest: sha256(layer),
        ...more,
      })),
    };
    const manifest = Buffer.from(JSON.stringify(body));
    await client.pushManifest(name, 'v1', manifest, SCHEMA2);
    return manifest;
  }

  async function expectUnseen(name: string, reason: RegExp, manifest: Buffer): Promise<void> {
    const answer = await client.expect(404, 'GET', `/v1/repositories/${name}/tags/v1`);
    assert.match(
      jsonOf<{ error: string }>(answer).error,
      /^Tag not found: v1 cannot be shown over V1/,
    );
    assert.match(answer.body.toString(), reason);
    assert.deepEqual(await client.v1Tags(name), {});
    assert.deepEqual(await client.v1Images(name), []);
    const kept = await client.manifest(name, 'v1', SCHEMA2);
    assert.deepEqual(kept.body, manifest, 'V2 gets it as it came');
    assert.deepEqual(await client.v2Tags(name), ['v1']);
  }

  const honest = { bytes: tarLayer.bytes, claim: tarLayer.diffId };
  const victim = makeV2Image({ seed: 33, layers: 2 });

  it('poisons nothing by claiming the diff IDs of another image', async () => {
    await new V2Client(server.url).pushImage('victim/repo', 'v1', victim);
    const claims = victim.layers.map(({ diffId }) => diffId);
    const manifest = await push(
      'poison/repo',
      claims.map((claim, n) => ({
        bytes: makeLayer([{ name: 'evil', content: String(n) }]).bytes,
        claim,
      })),
    );
    await expectUnseen('poison/repo', /diffid-mismatch.*the config claims/, manifest);
    const { images } = await new V1Client(server.url).pull('victim/repo', 'v1');
    assert.deepEqual(
      images.map(({ layer }) => sha256(layer)),
      victim.layers.map(({ digest }) => digest),
    );
  });

  it('says so when the config and the layers are not as many', async () => {
    const config = { rootfs: { type: 'layers', diff_ids: [honest.claim, honest.claim] } };
    const manifest = await push('count/repo', [honest], config);
    await expectUnseen('count/repo', /bad-config.*2 diff IDs for 1 layers/, manifest);
  });

  it('says so when the config is no image configuration', async () => {
    const manifest = await push('rootfs/repo', [honest], { rootfs: { type: 'none' } });
    await expectUnseen('rootfs/repo', /bad-config/, manifest);
    await expectUnseen('list/repo', /bad-config/, await push('list/repo', [], '[1,2]'));
    await expectUnseen('torn/repo', /bad-config/, await push('torn/repo', [], '{"a":'));
  });

  it('says so when a layer cannot be unpacked', async () => {
    const bytes = tarLayer.bytes.subarray(0, 60);
    const manifest = await push('cut/repo', [{ bytes, claim: tarLayer.diffId }]);
    await expectUnseen('cut/repo', /bad-layer/, manifest);
  });

  it('says so when a foreign layer lies elsewhere, and shows it once it is here', async () => {
    const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    const more = { urls: ['https://example.com/windows.tar.gz'] };
    const layer = makeLayer([{ name: 'Files/' }, { name: 'Files/kernel', content: 'nt' }]);
    const os = { os: 'windows', 'os.version': '10.0.14393' };
    const manifest = await push(
      'windows/repo',
      [{ bytes: layer.bytes, claim: layer.diffId, mediaType, more }],
      os,
    );
    await expectUnseen('windows/repo', /foreign-layer/, manifest);
    await client.pushBlob('windows/repo', layer.bytes);
    const { images } = await new V1Client(server.url).pull('windows/repo', 'v1');
    assert.deepEqual(
      images.map(({ layer: sent }) => sha256(sent)),
      [layer.digest],
    );
    assert.doesNotMatch(images[0]?.json.toString() ?? '', /os\.version/);
  });

  it('says that an artifact is one: a chart, a signature, an attestation, an index of nothing', async () => {
    const chart = await push(
      'chart/repo',
      [honest],
      '{}',
      'application/vnd.cncf.helm.config.v1+json',
    );
    await expectUnseen('chart/repo', /artifact.*helm/, chart);
    const payload = Buffer.from('{"critical":{}}');
    const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json';
    const type = 'application/vnd.oci.image.config.v1+json';
    const signed = await push(
      'signed/repo',
      [{ bytes: payload, claim: sha256(payload), mediaType }],
      {},
      type,
    );
    await expectUnseen('signed/repo', /artifact.*simplesigning/, signed);
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [],
      }),
    );
    await client.pushManifest(
      'nothing/repo',
      'v1',
      index,
      'application/vnd.oci.image.index.v1+json',
    );
    const answer = await client.expect(404, 'GET', '/v1/repositories/nothing/repo/tags/v1');
    assert.match(answer.body.toString(), /no-platform/);
  });

  it('shows a layer that is no tar as it is: the image is what it says', async () => {
    const bytes = Buffer.from('just text, and its digest is its diff ID');
    await push('text/repo', [{ bytes, claim: sha256(bytes) }]);
    const { images } = await new V1Client(server.url).pull('text/repo', 'v1');
    assert.deepEqual(images[0]?.layer, bytes);
  });

  it('shows others of the same repository', async () => {
    await new V2Client(server.url).pushImage('poison/repo', 'good', victim);
    assert.deepEqual(Object.keys(await client.v1Tags('poison/repo')), ['good']);
  });

  it('stops at a config nested too deep, without a failure', async () => {
    const deep = `{"rootfs":{"type":"layers","diff_ids":[]},"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    await push('nested/repo', [], deep);
    const answer = await client.call('GET', '/v1/repositories/nested/repo/tags/v1');
    assert.equal(answer.status, 404);
    assert.equal((await client.manifest('nested/repo', 'v1')).status < 500, true);
    assert.deepEqual(server.failures, []);
  });
});

describe('a layer that unpacks to too much', () => {
  const bomb = gzipSync(Buffer.alloc(8 << 20), { level: 9 });
  const limits = { size: { maxLayerBytes: 4 << 20 }, ratio: { maxLayerRatio: 100 } };
  for (const [limit, bridge] of Object.entries(limits)) {
    it(`is not bridged beyond the configured ${limit}, either way, and is once the limit is raised`, async () => {
      const first = await startServer({ storage: 'filesystem', content: { bridge } });
      const client = new BridgeClient(() => first.url);
      try {
        const id = hex('bomb');
        await client.pushV1('bombs/v1', 'v1', [jsonImage(id, {}, bomb)]);
        const refused = await client.manifest('bombs/v1', 'v1', SCHEMA2);
        assert.equal(refused.status, 404);
        assert.match(refused.body.toString(), /bad-layer/);
        const rootfs = { type: 'layers', diff_ids: [sha256(Buffer.alloc(8 << 20))] };
        const config = Buffer.from(JSON.stringify({ rootfs }));
        await client.pushBlob('bombs/v2', config);
        await client.pushBlob('bombs/v2', bomb);
        const body = {
          schemaVersion: 2,
          mediaType: OCI,
          config: {
            mediaType: 'application/vnd.oci.image.config.v1+json',
            size: config.length,
            digest: sha256(config),
          },
          layers: [
            {
              mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
              size: bomb.length,
              digest: sha256(bomb),
            },
          ],
        };
        await client.pushManifest('bombs/v2', 'v1', Buffer.from(JSON.stringify(body)), OCI);
        const unseen = await client.expect(404, 'GET', '/v1/repositories/bombs/v2/tags/v1');
        assert.match(unseen.body.toString(), /bad-layer.*when decompressed/);

        const raised = await startServer({ storage: first.driver });
        try {
          const now = new BridgeClient(() => raised.url);
          assert.equal(await now.v1Tag('bombs/v2', 'v1'), sha256(config).slice(7));
          assert.ok(await now.digestOf('bombs/v1', 'v1'), 'lifted at the first V2 pull');
          assert.equal(await now.v1Tag('bombs/v1', 'v1'), id);
        } finally {
          await raised.close();
        }
      } finally {
        await first.close();
      }
    });
  }
});

describe('a V1 tag while the store fails to make its V2 form', () => {
  it('is written all the same, and has the form at the next V2 pull', async () => {
    const memory = new MemoryDriver();
    let broken = true;
    const driver = new Proxy<StorageDriver>(memory, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (key !== 'put' || typeof value !== 'function') {
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return async (path: string, ...rest: unknown[]) => {
          if (broken && path.endsWith('/forms')) throw new Error('the disk had a bad day');
          return value.call(target, path, ...rest);
        };
      },
    });
    const reasons: string[] = [];
    const server = await startServer({
      storage: driver,
      content: { bridge: { onNotLifted: (_name, _id, reason) => reasons.push(reason) } },
    });
    try {
      const client = new BridgeClient(() => server.url);
      const image = jsonImage(hex('bad day'));
      await client.pushV1('bad/day', 'v1', [image]);
      assert.deepEqual(reasons, ['failed: Error: the disk had a bad day']);
      assert.equal(await client.v1Tag('bad/day', 'v1'), image.id);
      broken = false;
      assert.ok(await client.digestOf('bad/day', 'v1'));
      assert.equal(await client.v1Tag('bad/day', 'v1'), image.id);
      assert.deepEqual(await client.v2Tags('bad/day'), ['v1']);
    } finally {
      await server.close();
    }
  });
});
