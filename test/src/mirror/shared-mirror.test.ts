import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { StorageDriver } from '../../../storage/driver.ts';
import { checked } from '../../../storage/drivers/checked.ts';
import { FilesystemDriver } from '../../../storage/drivers/filesystem.ts';
import { MemoryDriver } from '../../../storage/drivers/memory.ts';
import type { V1ImageId } from '../../../storage/names.ts';
import { mirrorIncoming, mirrorIncomingLock } from '../../../storage/paths.ts';
import { eventually } from '../../support/eventually.ts';
import { jsonOf, open, request } from '../../support/http-client.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import { type RunningMirror, startMirror } from '../../support/mirror.ts';
import { Relay } from '../../support/relay.ts';
import { V1Client } from '../../support/v1-client.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

const layerPath = ({ id }: V1Image) => `/v1/images/${id}/layer`;

describe('two workers of a mirror', () => {
  let upstream: RunningRegistry;
  let relay: Relay;
  let root: string;
  let driver: StorageDriver;
  let one: RunningMirror;
  let two: RunningMirror;
  let seed = 300;

  before(async () => {
    upstream = await startRegistry();
    relay = await Relay.start(() => upstream.url);
    root = await mkdtemp(join(tmpdir(), 'isthmus-'));
    driver = checked(new FilesystemDriver({ root, fsync: false }));
  });
  after(async () => {
    await relay.stop();
    await upstream.close();
    await rm(root, { recursive: true, force: true });
  });
  beforeEach(async (context) => {
    relay.take();
    relay.intercept = () => false;
    one = await startMirror(relay.url, { driver });
    two = await startMirror(relay.url, { driver });
    if ('after' in context) {
      context.after(async () => {
        await one.close();
        await two.close();
      });
    }
  });

  const push = async (name: string, layers: number, bytes = 2048): Promise<V1Image[]> => {
    seed += 1;
    const images = makeV1Chain({ seed, layers, bytes });
    await new V1Client(upstream.url).push(name, 'v1', images);
    return images;
  };
  const incoming = () =>
    readdirSync(dirname(driver.local?.filename(mirrorIncoming('0' as V1ImageId)) ?? ''));
  const isStored = async ({ id }: V1Image, at: RunningMirror) =>
    (await at.registry.content.explicit.get(id as V1ImageId)) !== undefined;

  it('fetch a layer once between them, and leave nothing beside it', async () => {
    const images = await push('a/crowd', 3, 300_000);
    const pull = (at: RunningMirror) => new V1Client(at.url).pull('a/crowd', 'v1');
    for (const { images: pulled } of await Promise.all([
      pull(one),
      pull(two),
      pull(one),
      pull(two),
    ])) {
      assert.deepEqual(
        pulled.map(({ layer }) => layer),
        images.map(({ layer }) => layer),
      );
    }
    const asked = relay.take().filter((path) => path.endsWith('/layer'));
    assert.deepEqual(asked.sort(), images.map(layerPath).sort());
    await eventually(() => incoming().length === 0, 'an empty folder');
  });

  it('read along what the other one fetches, but for its last byte', async () => {
    const [image] = (await push('a/along', 1, 300_000)) as [V1Image];
    let finish = () => {};
    relay.intercept = (incoming, response) => {
      if (incoming.url !== layerPath(image)) return false;
      response.write(image.layer.subarray(0, 200_000));
      finish = () => response.end(image.layer.subarray(200_000));
      return true;
    };
    const first = await open(one.url + layerPath(image));
    first.resume();
    await eventually(() => incoming().includes(image.id), 'a layer on its way');
    const chunks: Buffer[] = [];
    let got = 0;
    for await (const chunk of await open(two.url + layerPath(image))) {
      chunks.push(chunk as Buffer);
      got += (chunk as Buffer).length;
      if (got === 200_000) finish();
    }
    assert.deepEqual(Buffer.concat(chunks), image.layer);
    assert.equal(relay.take().filter((path) => path === layerPath(image)).length, 1);
  });

  it('go on alone where the other one fails, and give no false layer', async () => {
    const [image] = (await push('a/fails', 1, 300_000)) as [V1Image];
    let times = 0;
    relay.intercept = (incoming, response) => {
      if (incoming.url !== layerPath(image)) return false;
      times += 1;
      if (times > 1) return false;
      // As long as the right one, and false from the first byte on.
      response.write(Buffer.alloc(200_000));
      setTimeout(() => response.end(Buffer.alloc(image.layer.length - 200_000)), 300);
      return true;
    };
    const first = request(one.url + layerPath(image)).catch(() => 'broken');
    await eventually(() => incoming().includes(image.id), 'a layer on its way');
    await new Promise((done) => setTimeout(done, 150));
    await assert.rejects(request(two.url + layerPath(image)), 'what it read along was false');
    assert.equal(await first, 'broken');
    assert.deepEqual((await request(two.url + layerPath(image))).body, image.layer);
    await eventually(() => isStored(image, one), 'the image');
  });

  it('take over from one that was killed', async () => {
    const [image] = (await push('a/killed', 1)) as [V1Image];
    const dead = spawn('true');
    await once(dead, 'exit');
    const id = image.id as V1ImageId;
    const lock = JSON.stringify({ host: hostname(), pid: dead.pid, id: 'x' });
    await driver.put(mirrorIncomingLock(id), lock);
    await driver.put(mirrorIncoming(id), 'half a layer');
    assert.deepEqual((await request(two.url + layerPath(image))).body, image.layer);
    await eventually(() => incoming().length === 0, 'an empty folder');
  });

  it('remove at their start what killed ones have left, and nothing that is being fetched', async () => {
    const [old, running] = ['1'.repeat(64), '2'.repeat(64)] as [V1ImageId, V1ImageId];
    await driver.put(mirrorIncoming(old), 'left');
    await driver.put(mirrorIncoming(running), 'coming');
    const live = JSON.stringify({ host: 'another-host', pid: 1, id: 'x' });
    await driver.put(mirrorIncomingLock(running), live);
    const third = await startMirror(relay.url, { driver });
    await eventually(() => !incoming().includes(old), 'the old one to be gone');
    assert.deepEqual(incoming().sort(), [running, `${running}.lock`]);
    await third.close();
    await driver.delete(mirrorIncoming(running));
    await driver.delete(mirrorIncomingLock(running));
  });

  it('share what upstream said of tags, also with those that start while it is down', async () => {
    await push('a/tags', 1);
    const tags = async (at: RunningMirror) =>
      jsonOf(await request(`${at.url}/v1/repositories/a/tags/tags`));
    const first = await tags(one);
    relay.take();
    assert.deepEqual(await tags(two), first);
    assert.deepEqual(relay.take(), []);
    relay.intercept = (_, response) => {
      response.destroy();
      return true;
    };
    const later = await startMirror(relay.url, { driver, config: { tagsCacheSeconds: 0 } });
    assert.deepEqual(await tags(later), first);
    await later.close();
    const other = await startMirror(`${relay.url}/other`, { driver });
    const answer = await request(`${other.url}/v1/repositories/a/tags/tags`);
    assert.equal(answer.status, 503, 'what one upstream said is not said of another');
    await other.close();
  });
});

describe('a mirror whose store is not in local files', () => {
  it('removes the temporary folders of killed processes, and its own', async () => {
    const dead = spawn('true');
    await once(dead, 'exit');
    const [gone, alive] = [`isthmus-mirror-${dead.pid}-abc`, `isthmus-mirror-${process.pid}-abc`];
    for (const name of [gone, alive]) await mkdir(join(tmpdir(), name));
    await writeFile(join(tmpdir(), gone, 'layer'), 'left');
    const upstream = await startRegistry();
    const images = makeV1Chain({ seed: 399, layers: 2 });
    await new V1Client(upstream.url).push('a/app', 'v1', images);
    const mirror = await startMirror(upstream.url, { driver: checked(new MemoryDriver()) });
    await new V1Client(mirror.url).pull('a/app', 'v1');
    await eventually(() => !existsSync(join(tmpdir(), gone)), 'the folder to be gone');
    assert.ok(existsSync(join(tmpdir(), alive)));
    await rm(join(tmpdir(), alive), { recursive: true });
    await mirror.close();
    await upstream.close();
    const own = readdirSync(tmpdir()).filter((name) =>
      name.startsWith(`isthmus-mirror-${process.pid}-`),
    );
    assert.deepEqual(own, []);
  });
});
