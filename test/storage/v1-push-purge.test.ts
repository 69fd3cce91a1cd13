import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import type { V1ImageId } from '../../storage/names.ts';
import { purgeV1Pushes } from '../../storage/v1-push-purge.ts';
import { ANYONE } from '../../storage/v1-tags.ts';
import { request } from '../support/http-client.ts';
import { makeV1Chain, type V1Image } from '../support/images.ts';
import { useServer } from '../support/server.ts';
import { V1Client } from '../support/v1-client.ts';

const DAY = 24 * 60 * 60 * 1000;
const WEEK = { ageMs: 7 * DAY, dryRun: false };

describe('purging interrupted V1 pushes', () => {
  const server = useServer({ storage: 'filesystem' });
  let seed = 400;
  const image = () => makeV1Chain({ seed: ++seed, layers: 1 })[0] as V1Image;
  const put = (path: string, body: Buffer) =>
    request(server.url + path, { method: 'PUT', body }).then(({ status }) => status);
  const stagingOf = (id: string) => `/docker/registry/v1/staging/${id}-anonymous`;
  const staged = async (id: string): Promise<string[]> => {
    const files: string[] = [];
    for await (const file of server.driver.list(stagingOf(id))) files.push(file);
    return files;
  };
  /** Makes everything that is staged of the image, or one file of it, as old as that. */
  const age = async (id: string, ms: number, only?: string) => {
    const at = new Date(Date.now() - ms);
    for (const file of await staged(id)) {
      if (only !== undefined && only !== file) continue;
      await utimes(server.driver.local?.filename(`${stagingOf(id)}/${file}`) ?? '', at, at);
    }
  };
  /** Begins a push, and leaves it before its checksum. */
  const abandon = async (ms: number): Promise<V1Image> => {
    const one = image();
    assert.equal(await put(`/v1/images/${one.id}/json`, one.json), 200);
    assert.equal(await put(`/v1/images/${one.id}/layer`, one.layer), 200);
    await age(one.id, ms);
    return one;
  };
  const purge = async (options = WEEK) =>
    (await purgeV1Pushes(server.driver, options)).map(({ imageId }) => imageId as string);

  it('takes what nobody has touched for long, and nothing younger', async () => {
    const [old, young] = [await abandon(8 * DAY), await abandon(6 * DAY)];
    assert.deepEqual(await purge(), [old.id]);
    assert.deepEqual(await staged(old.id), []);
    assert.equal((await staged(young.id)).length, 3);
    assert.equal((await request(`${server.url}/v1/images/${old.id}/json`)).status, 404);
    assert.equal((await request(`${server.url}/v1/images/${young.id}/json`)).status, 400);
  });

  it('leaves no empty folders of what it takes, as a push that ends leaves none', async () => {
    const isThere = (path: string) => existsSync(server.driver.local?.filename(path) ?? '');
    const old = await abandon(8 * DAY);
    const [done, begun] = [image(), await abandon(DAY)];
    assert.ok(isThere(stagingOf(old.id)));
    await new V1Client(server.url).push('team/done', 'v1', [done]);
    assert.equal(isThere(stagingOf(done.id)), false);
    await purge();
    assert.equal(isThere(stagingOf(old.id)), false);
    assert.equal((await request(`${server.url}/v1/images/${done.id}/json`)).status, 200);
    assert.equal((await staged(begun.id)).length, 3);
  });

  it('takes a push that ended after its JSON', async () => {
    const one = image();
    await put(`/v1/images/${one.id}/json`, one.json);
    await age(one.id, 8 * DAY);
    assert.deepEqual(await purge(), [one.id]);
  });

  it('leaves a push alone of which one part came lately', async () => {
    const one = await abandon(8 * DAY);
    await age(one.id, DAY, 'data');
    assert.deepEqual(await purge(), []);
    await age(one.id, 8 * DAY);
    assert.deepEqual(await purge(), [one.id]);
  });

  it('says in a dry run what it would take, and takes nothing', async () => {
    const one = await abandon(8 * DAY);
    assert.deepEqual(await purge({ ...WEEK, dryRun: true }), [one.id]);
    assert.equal((await staged(one.id)).length, 3);
    assert.deepEqual(await purge(), [one.id]);
  });

  it('leaves complete images alone, and lets a push begin again', async () => {
    const one = await abandon(8 * DAY);
    await purge();
    const client = new V1Client(server.url);
    await client.push('again', 'v1', [one]);
    await purge({ ageMs: -1000, dryRun: false });
    assert.deepEqual((await client.pull('again', 'v1')).images[0]?.layer, one.layer);
  });

  it('leaves a layer alone that is just coming, and an image that is being brought in', async () => {
    const [coming, imported] = [image(), image()];
    await put(`/v1/images/${coming.id}/json`, coming.json);
    const source = new PassThrough();
    const { v1, pushes } = server.content;
    const putting = v1.putLayer(coming.id as V1ImageId, source, ANYONE);
    source.write(coming.layer.subarray(0, 10));
    const slow = new PassThrough();
    const { id, json } = imported;
    const taking = pushes.take(
      { id: id as V1ImageId, json, ancestry: [id as V1ImageId] },
      { open: async () => slow },
    );
    slow.write(imported.layer.subarray(0, 10));
    await new Promise((done) => setTimeout(done, 50));
    assert.deepEqual(await purge({ ageMs: -1000, dryRun: false }), []);
    source.end(coming.layer.subarray(10));
    slow.end(imported.layer.subarray(10));
    await putting;
    await taking;
    assert.ok(await server.content.explicit.get(id as V1ImageId));
    assert.deepEqual(await purge({ ageMs: -1000, dryRun: false }), [coming.id]);
  });
});
