import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectGarbage } from '../../storage/garbage-collection.ts';
import { V1GarbageRoot } from '../../storage/v1-garbage.ts';
import { BridgeClient, storedBlobs } from '../support/bridge-client.ts';
import { makeV1Chain, makeV2Image, type V2Image } from '../support/images.ts';
import { startServer, type TestServer, useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';

const idOf = (image: V2Image) => sha256(image.config).slice(7);

/** An image that an old engine commits over one that it pulled over V1. */
function childOf(parent: string, seed: number) {
  const [base] = makeV1Chain({ seed, layers: 1 });
  const id = base?.id ?? '';
  return {
    id,
    json: Buffer.from(JSON.stringify({ id, parent })),
    layer: base?.layer ?? Buffer.alloc(0),
  };
}

async function collect(server: TestServer): Promise<void> {
  const options = { dryRun: false, deleteUntagged: false, graceMs: -1000 };
  const roots = [new V1GarbageRoot(server.content.driver)];
  const report = await collectGarbage(server.content, { ...options, roots }, () => undefined);
  assert.deepEqual(report.problems, []);
}

describe('an image that was pushed over V1 on top of one that came over V2', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);
  const image = makeV2Image({ seed: 900, layers: 3, forms: ['gzip', 'tar'] });
  const child = childOf(idOf(image), 901);

  it('is pulled over both protocols when that is deleted and its garbage collected', async () => {
    await new V2Client(server.url).pushImage('base/app', 'v1', image);
    const before = await new V1Client(server.url).pull('base/app', 'v1');
    await client.pushV1('own/app', 'v1', [child]);
    const lifted = await client.digestOf('own/app', 'v1');
    await client.expect(202, 'DELETE', `/v2/base/app/manifests/${image.digest}`);
    await collect(server);
    // A second server has nothing in memory.
    const fresh = await startServer({ storage: server.driver });
    try {
      const { images } = await new V1Client(fresh.url).pull('own/app', 'v1');
      assert.deepEqual(images.slice(0, 3), before.images);
      assert.deepEqual(images[3]?.layer, child.layer);
      const again = new BridgeClient(() => fresh.url);
      assert.equal(await again.digestOf('own/app', 'v1'), lifted);
      assert.equal(await again.v1Tag('base/app', 'v1'), undefined);
    } finally {
      await fresh.close();
    }
  });

  it('lets its parent be tagged anew, which makes a manifest of it again', async () => {
    await client.tagV1('base/again', 'v1', idOf(image));
    assert.equal(await client.v1Tag('base/again', 'v1'), idOf(image));
    assert.ok(await client.digestOf('base/again', 'v1'));
    await collect(server);
    const { images } = await new V1Client(server.url).pull('base/again', 'v1');
    assert.equal(images.length, 3);
  });

  it('keeps its parents while it is being pushed, and no longer', async () => {
    const [base, other] = [
      makeV2Image({ seed: 902, layers: 2 }),
      makeV2Image({ seed: 903, layers: 2 }),
    ];
    await new V2Client(server.url).pushImage('base/staged', 'v1', base);
    await new V2Client(server.url).pushImage('base/other', 'v1', other);
    await new V1Client(server.url).pull('base/staged', 'v1');
    await new V1Client(server.url).pull('base/other', 'v1');
    const staged = childOf(idOf(base), 904);
    await client.expect(200, 'PUT', `/v1/images/${staged.id}/json`, {}, staged.json);
    await client.expect(202, 'DELETE', `/v2/base/staged/manifests/${base.digest}`);
    await client.expect(202, 'DELETE', `/v2/base/other/manifests/${other.digest}`);
    await collect(server);
    const layers = await storedBlobs(server.driver);
    assert.ok(base.layers.every(({ digest }) => layers.has(digest)));
    assert.ok(!other.layers.some(({ digest }) => layers.has(digest)));
    await client.pushV1('own/staged', 'v1', [staged]);
    assert.equal((await new V1Client(server.url).pull('own/staged', 'v1')).images.length, 3);
    await client.expect(200, 'DELETE', '/v1/repositories/own/staged');
    await server.driver.delete(`/docker/registry/v1/images/${staged.id}`);
    await collect(server);
    const left = await storedBlobs(server.driver);
    assert.ok(!base.layers.some(({ digest }) => left.has(digest)), 'nothing keeps them any more');
    await client.expect(404, 'GET', `/v1/images/${idOf(base)}/json`);
  });

  it('is not read through an image that was pushed under the ID of its parent', async () => {
    const base = makeV2Image({ seed: 905, layers: 2 });
    const id = base.layers[0]?.diffId.slice(7) ?? '';
    await client.pushV1Image({ ...childOf(id, 906), id, json: Buffer.from(`{"id":"${id}"}`) });
    await new V2Client(server.url).pushImage('base/false', 'v1', base);
    await new V1Client(server.url).pull('base/false', 'v1');
    const own = childOf(idOf(base), 907);
    await client.pushV1('own/false', 'v1', [own]);
    await client.expect(202, 'DELETE', `/v2/base/false/manifests/${base.digest}`);
    const { images } = await new V1Client(server.url).pull('own/false', 'v1');
    assert.deepEqual(images[0]?.layer, base.layers[0]?.bytes);
  });
});
