import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectGarbage, type GarbageReport } from '../../storage/garbage-collection.ts';
import { V1GarbageRoot } from '../../storage/v1-garbage.ts';
import { basic, testAccounts } from '../support/accounts.ts';
import { BridgeClient, storedBlobs } from '../support/bridge-client.ts';
import { makeV1Chain, type V1Image } from '../support/images.ts';
import { useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';

interface CollectOptions {
  untagged?: boolean;
  deleteUntagged?: boolean;
  dryRun?: boolean;
  graceMs?: number;
}

const idsOf = (images: readonly V1Image[]) => images.map(({ id }) => id);
const byName = (a: string, b: string) => (a < b ? -1 : 1);

describe('garbage collection of V1 images that nothing names', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);
  let seed = 700;
  const chain = (layers: number) => makeV1Chain({ seed: ++seed, layers });

  /** Pushes images one by one, without a tag. */
  const upload = async (images: readonly V1Image[]) => {
    for (const image of images) await client.pushV1Image(image);
  };
  const collect = async ({
    untagged = true,
    deleteUntagged = true,
    dryRun = false,
    graceMs = -1000,
  }: CollectOptions = {}): Promise<GarbageReport & { images: string[] }> => {
    const root = new V1GarbageRoot(server.driver, { untagged });
    const options = { dryRun, deleteUntagged, graceMs, roots: [root] };
    const report = await collectGarbage(server.content, options, () => undefined);
    return { ...report, images: [...root.dead].sort(byName) };
  };
  const isThere = async ({ id }: V1Image) =>
    (await client.call('GET', `/v1/images/${id}/json`)).status === 200;

  it('takes them with their layers, and lets them be pushed anew', async () => {
    const images = chain(2);
    await upload(images);
    const { images: dead } = await collect();
    assert.deepEqual(dead, idsOf(images).sort(byName));
    for (const image of images) assert.equal(await isThere(image), false);
    const blobs = await storedBlobs(server.driver);
    assert.ok(!images.some(({ layer }) => blobs.has(sha256(layer))));
    await client.pushV1('team/again', 'v1', images);
    assert.deepEqual(
      (await new V1Client(server.url).pull('team/again', 'v1')).images.map(({ layer }) => layer),
      images.map(({ layer }) => layer),
    );
  });

  it('leaves them alone without being told, as docker-registry did', async () => {
    const images = chain(2);
    await upload(images);
    assert.deepEqual((await collect({ untagged: false })).images, []);
    for (const image of images) assert.ok(await isThere(image));
  });

  it('says in a dry run what it would take, and takes nothing', async () => {
    const images = chain(1);
    await upload(images);
    const { images: dead } = await collect({ dryRun: true });
    assert.ok(dead.includes(images[0]?.id ?? ''));
    assert.ok(await isThere(images[0] as V1Image));
  });

  it('keeps what a tag names with all below it, and takes what was on top', async () => {
    await collect();
    const images = chain(4);
    await client.pushV1('team/middle', 'top', images);
    await client.tagV1('team/middle', 'low', images[1]?.id ?? '');
    await client.expect(200, 'DELETE', '/v1/repositories/team/middle/tags/top');
    assert.deepEqual((await collect()).images, idsOf(images.slice(2)).sort(byName));
    const { images: pulled } = await new V1Client(server.url).pull('team/middle', 'low');
    assert.deepEqual(idsOf(pulled), idsOf(images.slice(0, 2)));
    assert.deepEqual(
      (await client.v1Images('team/middle')).sort(byName),
      idsOf(images.slice(0, 2)).sort(byName),
    );
  });

  it('keeps an image while a manifest that was made of it stays', async () => {
    const images = chain(2);
    await client.pushV1('team/made', 'v1', images);
    await client.expect(200, 'DELETE', '/v1/repositories/team/made/tags/v1');
    assert.deepEqual((await collect({ deleteUntagged: false })).images, []);
    assert.deepEqual((await collect()).images, idsOf(images).sort(byName));
  });

  it('keeps images of tags that have no V2 form', async () => {
    const id = sha256('cut').slice(7);
    const cut = {
      id,
      json: Buffer.from(`{"id":"${id}"}`),
      layer: Buffer.from('1f8b080000', 'hex'),
    };
    await client.pushV1('team/hidden', 'v1', [cut]);
    assert.deepEqual((await collect()).images, []);
    assert.deepEqual((await client.v1Image(id)).layer, cut.layer);
  });

  it('takes images of a tag that V2 clients moved or deleted, and of a repository that is gone', async () => {
    const [moved, deleted, gone] = [chain(1), chain(1), chain(1)];
    await client.pushV1('team/moved', 'v1', moved);
    await client.pushV1('team/deleted', 'v1', deleted);
    await client.pushV1('team/gone', 'v1', gone);
    const other = await client.manifest(
      'team/deleted',
      'v1',
      'application/vnd.oci.image.manifest.v1+json',
    );
    await client.expect(202, 'DELETE', '/v2/team/deleted/manifests/v1');
    await client.expect(200, 'DELETE', '/v1/repositories/team/gone');
    assert.equal(other.status, 200);
    const tag = await client.manifest(
      'team/middle',
      'low',
      'application/vnd.docker.distribution.manifest.v2+json',
    );
    const { config, layers } = JSON.parse(tag.body.toString());
    for (const { digest } of [config, ...layers]) {
      await client.expect(
        201,
        'POST',
        `/v2/team/moved/blobs/uploads/?mount=${digest}&from=team/middle`,
      );
    }
    await client.pushManifest(
      'team/moved',
      'v1',
      tag.body,
      'application/vnd.docker.distribution.manifest.v2+json',
    );
    assert.deepEqual(
      (await collect()).images,
      [...idsOf(moved), ...idsOf(deleted), ...idsOf(gone)].sort(byName),
    );
  });

  it('keeps what a push has just brought, and what one that is under way stands on', async () => {
    const [fresh, below] = [chain(1), chain(2)];
    await upload(fresh);
    assert.deepEqual((await collect({ graceMs: 60_000 })).images, []);
    assert.ok(await isThere(fresh[0] as V1Image));
    await upload(below);
    const id = 'f'.repeat(64);
    await client.expect(
      200,
      'PUT',
      `/v1/images/${id}/json`,
      {},
      JSON.stringify({ id, parent: below[1]?.id }),
    );
    assert.deepEqual((await collect()).images, idsOf(fresh));
    for (const image of below) assert.ok(await isThere(image));
  });

  it('deletes nothing where a V1 tag can not be read', async () => {
    const images = chain(1);
    await upload(images);
    const memo = '/docker/registry/v2/repositories/team/middle/_v1/tags/low';
    const before = await server.driver.get(memo);
    await server.driver.put(memo, '{"imageId":');
    const { images: dead, problems } = await collect();
    assert.deepEqual([dead, problems.length], [[], 1]);
    assert.ok(await isThere(images[0] as V1Image));
    await server.driver.put(memo, before);
  });

  it('shows the image that comes next under the same ID, and no memory of the first', async () => {
    const [image] = chain(1) as [V1Image];
    await upload([image]);
    assert.ok(await isThere(image));
    await collect();
    const json = Buffer.from(JSON.stringify({ id: image.id, comment: 'another' }));
    await client.pushV1Image({ ...image, json });
    assert.deepEqual((await client.v1Image(image.id)).json, json);
  });
});

describe('garbage collection of V1 images with accounts', () => {
  const server = useServer({ storage: 'filesystem', access: testAccounts() });
  const client = new BridgeClient(() => server.url);
  const ann = { authorization: basic('ann', 'secret') };
  const bob = { authorization: basic('bob', 'builder') };

  it('takes the right to an image along with it', async () => {
    const [image] = makeV1Chain({ seed: 801, layers: 1 }) as [V1Image];
    const path = `/v1/images/${image.id}`;
    const push = async (json: Buffer, headers: Record<string, string>) => {
      await client.expect(200, 'PUT', `${path}/json`, headers, json);
      await client.expect(200, 'PUT', `${path}/layer`, headers, image.layer);
      const sum = sha256(Buffer.concat([json, Buffer.from('\n'), image.layer]));
      await client.expect(200, 'PUT', `${path}/checksum`, {
        ...headers,
        'x-docker-checksum-payload': sum,
      });
    };
    const tag = (name: string, headers: Record<string, string>) =>
      client.call('PUT', `/v1/repositories/${name}/tags/v1`, headers, JSON.stringify(image.id));
    await push(image.json, bob);
    assert.equal((await tag('bob/app', bob)).status, 200);
    await client.expect(200, 'DELETE', '/v1/repositories/bob/app/tags/v1', ann);
    const options = { dryRun: false, deleteUntagged: true, graceMs: -1000 };
    const roots = [new V1GarbageRoot(server.driver, { untagged: true })];
    await collectGarbage(server.content, { ...options, roots }, () => undefined);
    // The next image of this ID is ann's own.
    await push(Buffer.from(JSON.stringify({ id: image.id, comment: 'of ann' })), ann);
    assert.equal((await tag('ann/app', ann)).status, 200);
    await client.expect(404, 'GET', `${path}/json`, bob);
    assert.equal((await tag('bob/app', bob)).status, 404);
    await client.expect(200, 'GET', `${path}/json`, ann);
    // What was tagged in a repository before can be again.
    assert.equal((await tag('bob/app', ann)).status, 200);
    await client.expect(200, 'GET', `${path}/json`, bob);
  });
});
