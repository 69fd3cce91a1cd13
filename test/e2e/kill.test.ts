import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ChildServer, startIsthmus } from '../support/child-server.ts';
import { makeV1Chain, makeV2Image, type V1Image, type V2Image } from '../support/images.ts';
import { Seeded } from '../support/seeded.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { Workspace } from './support/workspace.ts';

const ROUNDS = 8;
const CHUNK = 256 * 1024;

/** What clients were told is stored. */
interface Promised {
  v1: Map<string, V1Image[]>;
  v2: Map<string, V2Image>;
}

/** The server is killed in the middle of pushes; nothing that was answered is lost, nothing half-written is served. */
describe('kill -9 in the middle of pushes', { timeout: 600_000 }, () => {
  let work: Workspace;
  let storage = '';
  let server: ChildServer;
  const promised: Promised = { v1: new Map(), v2: new Map() };
  const kept = { v1: 0, v2: 0 };
  const tried: { name: string; digest: string }[] = [];
  const random = new Seeded(61);

  before(async () => {
    work = await Workspace.create();
    storage = await work.folder('registry');
    server = await startIsthmus({ storage });
  });
  after(async () => {
    await server.stop();
    await work.end();
  });

  async function killAndRestart(): Promise<void> {
    await server.stop('SIGKILL');
    server = await startIsthmus({ storage });
  }

  /** Pushes images over V2 until the server goes. */
  async function pushV2(name: string, seed: number): Promise<void> {
    for (let n = 0; ; n += 1) {
      const image = makeV2Image({ seed: seed + n, layers: 3, bytes: 400_000 });
      tried.push(...[...image.blobs.keys()].map((digest) => ({ name, digest })));
      await new V2Client(server.url).pushImage(name, `v${n}`, image, n % 2 ? CHUNK : undefined);
      promised.v2.set(`${name}:v${n}`, image);
    }
  }

  /** Pushes images over V1 until the server goes. */
  async function pushV1(name: string, seed: number): Promise<void> {
    for (let n = 0; ; n += 1) {
      const chain = makeV1Chain({ seed: seed + n, layers: 3, bytes: 400_000 });
      tried.push(...chain.map((one) => ({ name, digest: sha256(one.layer) })));
      await new V1Client(server.url).push(name, `v${n}`, chain);
      promised.v1.set(`${name}:v${n}`, chain);
    }
  }

  it(`keeps its word through ${ROUNDS} kills`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const pushes = [
        pushV2(`kill/v2-a${round}`, 1000 + round * 100),
        pushV2(`kill/v2-b${round}`, 2000 + round * 100),
        pushV1(`kill/v1-a${round}`, 3000 + round * 100),
        pushV1(`kill/v1-b${round}`, 4000 + round * 100),
      ];
      const ended = Promise.allSettled(pushes);
      await new Promise((resolve) => setTimeout(resolve, 300 + (random.next() % 700)));
      const before = server.running;
      await killAndRestart();
      assert.ok(before, 'the server went by itself');
      await ended;
      await expectPromised();
    }
    assert.ok(kept.v1 > 0, 'no V1 push was finished between two kills');
    assert.ok(kept.v2 > 0, 'no V2 push was finished between two kills');
  });

  async function expectPromised(): Promise<void> {
    const v2 = new V2Client(server.url);
    for (const [image, expected] of promised.v2) {
      const [name = '', tag = ''] = image.split(':');
      await v2.expectImage(name, tag, expected);
    }
    for (const [image, expected] of promised.v1) {
      const [name = '', tag = ''] = image.split(':');
      const pulled = await new V1Client(server.url).pull(name, tag);
      assert.deepEqual(
        pulled.images.map((one) => one.layer),
        expected.map((one) => one.layer),
      );
    }
    kept.v1 += promised.v1.size;
    kept.v2 += promised.v2.size;
    promised.v1.clear(); // each is checked once; the blobs on disk are all checked at the end
    promised.v2.clear();
  }

  it('serves no blob that does not hash to its digest', async () => {
    const v2 = new V2Client(server.url);
    for (const { name, digest } of tried) {
      if (await v2.hasBlob(name, digest)) await v2.pullBlob(name, digest);
    }
  });

  it('has no blob on disk that does not hash to its digest', async () => {
    const blobs = join(storage, 'docker/registry/v2/blobs/sha256');
    let seen = 0;
    for (const start of await readdir(blobs)) {
      for (const hex of await readdir(join(blobs, start))) {
        if (!(await readdir(join(blobs, start, hex))).includes('data')) continue;
        const hash = createHash('sha256');
        for await (const chunk of createReadStream(join(blobs, start, hex, 'data')))
          hash.update(chunk);
        assert.equal(hash.digest('hex'), hex);
        seen += 1;
      }
    }
    assert.ok(seen > 0);
  });

  it('has a whole manifest behind every tag', async () => {
    const v2 = new V2Client(server.url);
    for (const name of await v2.catalog()) {
      for (const tag of await v2.tags(name)) {
        const { bytes } = await v2.pullManifest(name, tag);
        const manifest = JSON.parse(bytes.toString()) as {
          config: { digest: string };
          layers: { digest: string }[];
        };
        for (const { digest } of [manifest.config, ...manifest.layers]) {
          await v2.pullBlob(name, digest);
        }
      }
    }
  });

  it('resumes an upload where it stood', async () => {
    const blob = new Seeded(62).bytes(8 * CHUNK);
    let location = await new V2Client(server.url).startUpload('kill/resumed');
    let acknowledged = 0;
    for (; acknowledged < 4 * CHUNK; acknowledged += CHUNK) {
      const chunk = blob.subarray(acknowledged, acknowledged + CHUNK);
      location = await new V2Client(server.url).sendChunk(location, acknowledged, chunk);
    }
    const { pathname, search } = new URL(location, server.url);
    const sending = new V2Client(server.url)
      .sendChunk(location, acknowledged, blob.subarray(acknowledged))
      .catch(() => undefined);
    await server.stop('SIGKILL');
    await sending;
    server = await startIsthmus({ storage });
    const v2 = new V2Client(server.url);
    const offset = await v2.uploadOffset(pathname + search);
    assert.ok(offset >= acknowledged && offset <= blob.length, `the upload stands at ${offset}`);
    if (offset < blob.length) {
      location = await v2.sendChunk(pathname + search, offset, blob.subarray(offset));
    }
    await v2.finishUpload(location, sha256(blob));
    assert.deepEqual(await v2.pullBlob('kill/resumed', sha256(blob)), blob);
  });

  it('takes a V1 push again that was cut by the kill', async () => {
    const chain = makeV1Chain({ seed: 63, layers: 3, bytes: 3_000_000 });
    const push = new V1Client(server.url).push('kill/again', 'v1', chain).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 60));
    await killAndRestart();
    await push;
    await new V1Client(server.url).push('kill/again', 'v1', chain);
    const { images } = await new V1Client(server.url).pull('kill/again', 'v1');
    assert.deepEqual(
      images.map((one) => one.layer),
      chain.map((one) => one.layer),
    );
  });
});
