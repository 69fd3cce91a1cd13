import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import { BridgeClient, OCI, SCHEMA2 } from '../support/bridge-client.ts';
import { BlobReads, countingBlobs } from '../support/counting-driver.ts';
import { header } from '../support/http-client.ts';
import { makeV1Chain, makeV2Image, type V2Image } from '../support/images.ts';
import { ODD_FORMS, oddLayer } from '../support/odd-images.ts';
import { startServer, type TestServer, useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V2Client } from '../support/v2-client.ts';

const idOf = (image: V2Image) => sha256(image.config).slice(7);
const digestsOf = (image: V2Image) => image.layers.map(({ digest }) => digest).sort();
const times = <T>(count: number, make: (n: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, n) => make(n)));

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; !holds(); ) {
    assert.ok(Date.now() < deadline, 'it never came to pass');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('what the bridge costs', () => {
  const reads = new BlobReads();
  const server = useServer({ storage: countingBlobs(new MemoryDriver(), reads) });
  const client = new BridgeClient(() => server.url);
  const image = makeV2Image({ seed: 70, layers: 5 });

  it('is one look into each layer for fifty clients that pull at once', async () => {
    await new V2Client(server.url).pushImage('cost/first', 'v1', image);
    reads.started.length = 0;
    const ids = await times(50, () => client.v1Tag('cost/first', 'v1'));
    assert.deepEqual(new Set(ids), new Set([idOf(image)]));
    assert.deepEqual([...reads.started].sort(), digestsOf(image));
  });

  it('is none for an image whose layers were looked into already', async () => {
    reads.started.length = 0;
    await new V2Client(server.url).pushImage('cost/second', 'v1', image);
    assert.equal(await client.v1Tag('cost/second', 'v1'), idOf(image));
    assert.equal((await client.v1Tags('cost/second')).v1, idOf(image));
    for (const id of await client.v1Images('cost/second')) {
      await client.expect(200, 'GET', `/v1/images/${id}/json`);
      await client.expect(200, 'GET', `/v1/images/${id}/ancestry`);
    }
    assert.deepEqual(reads.started, []);
  });

  it('is none at all for a V1 image that is pulled over V2', async () => {
    reads.started.length = 0;
    const chain = makeV1Chain({ seed: 71, layers: 4, forms: ['gzip', 'tar'] });
    await client.pushV1('cost/lifted', 'v1', chain);
    for (const accept of [SCHEMA2, OCI, undefined]) {
      const answer = await client.manifest('cost/lifted', 'v1', accept);
      assert.equal(answer.status, 200);
    }
    assert.deepEqual(reads.started, []);
  });

  it('is none for a manifest whose config is no image', async () => {
    reads.started.length = 0;
    const config = await client.pushBlob('cost/artifact', Buffer.from('{}'));
    const layer = await client.pushBlob('cost/artifact', Buffer.alloc(5000, 'x'));
    const body = {
      schemaVersion: 2,
      mediaType: OCI,
      config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', size: 2, digest: config },
      layers: [
        {
          mediaType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
          size: 5000,
          digest: layer,
        },
      ],
    };
    await client.pushManifest('cost/artifact', 'v1', Buffer.from(JSON.stringify(body)), OCI);
    assert.equal(await client.v1Tag('cost/artifact', 'v1'), undefined);
    assert.deepEqual(reads.started, []);
  });
});

describe('what the bridge costs several workers over one store', () => {
  const reads = new BlobReads();
  let root = '';
  let workers: TestServer[] = [];

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'isthmus-cost-'));
    workers = await times(2, () =>
      startServer({ storage: countingBlobs(new FilesystemDriver({ root, fsync: false }), reads) }),
    );
  });
  after(async () => {
    for (const worker of workers) await worker.close();
    await rm(root, { recursive: true, force: true });
  });
  const clientOf = (n: number) => new BridgeClient(() => workers[n % 2]?.url ?? '');

  it('is one look into each layer for fifty clients that pull from both at once', async () => {
    const image = makeV2Image({ seed: 72, layers: 5, bytes: 300_000 });
    await new V2Client(workers[0]?.url ?? '').pushImage('cost/shared', 'v1', image);
    const ids = await times(50, (n) => clientOf(n).v1Tag('cost/shared', 'v1'));
    assert.deepEqual(new Set(ids), new Set([idOf(image)]));
    assert.deepEqual([...reads.started].sort(), digestsOf(image));
  });

  it('is one signature, which all clients get', async () => {
    const image = makeV2Image({ seed: 73, layers: 3 });
    await new V2Client(workers[0]?.url ?? '').pushImage('cost/signed', 'v1', image);
    const documents = await times(50, (n) => clientOf(n).manifest('cost/signed', 'v1'));
    assert.equal(new Set(documents.map(({ body }) => sha256(body))).size, 1);
  });

  it('is one run of a decompressor for the plain tar that V2 lists', async () => {
    const form = ODD_FORMS.find((each) => each === 'bzip2' || each === 'xz') ?? 'gzip';
    const { bytes, tar } = oddLayer(form, [{ name: 'file', content: Buffer.alloc(200_000, 'y') }]);
    const ids = ['a', 'b'].map((name) => sha256(name).slice(7));
    for (const id of ids) {
      const image = { id, json: Buffer.from(JSON.stringify({ id })), layer: bytes };
      await clientOf(0).pushV1Image(image);
    }
    reads.started.length = 0;
    await times(6, (n) => clientOf(n).tagV1('cost/plain', `v${n}`, ids[n % 2] ?? ''));
    const looks = reads.started.filter((digest) => digest === sha256(bytes));
    assert.equal(looks.length, form === 'gzip' ? 0 : 1);
    const blob = await clientOf(0).expect(
      200,
      'GET',
      `/v2/cost/plain/blobs/${form === 'gzip' ? sha256(bytes) : sha256(tar)}`,
    );
    assert.deepEqual(blob.body, form === 'gzip' ? bytes : tar);
  });
});

describe('proofs in the background', () => {
  const reads = new BlobReads();
  const server = useServer({
    storage: countingBlobs(new MemoryDriver(), reads),
    content: { bridge: { waitMs: 5_000 } },
  });
  const client = new BridgeClient(() => server.url);
  const [first, second, third] = [74, 75, 76].map((seed) => makeV2Image({ seed, layers: 2 })) as [
    V2Image,
    V2Image,
    V2Image,
  ];

  it('go one by one, and never make a client wait that pulls', async () => {
    const base = first.layers[0]?.digest ?? '';
    const open = reads.hold(base);
    const v2 = new V2Client(server.url);
    await v2.pushImage('proofs/first', 'v1', first);
    await v2.pushImage('proofs/second', 'v1', second);
    await v2.pushImage('proofs/third', 'v1', third);
    await until(() => reads.started.length > 0);
    assert.deepEqual(reads.started, [base], 'the queue stands at its first layer');
    assert.equal(await client.v1Tag('proofs/third', 'v1'), idOf(third), 'ahead of the queue');
    const waiting = client.v1Tag('proofs/first', 'v1');
    await until(() => reads.started.includes(first.layers[1]?.digest ?? ''));
    assert.ok(!reads.started.includes(second.layers[0]?.digest ?? ''), 'nobody waits for that');
    open();
    assert.equal(await waiting, idOf(first));
    await until(() => digestsOf(second).every((digest) => reads.started.includes(digest)));
    assert.equal(reads.started.length, 6, 'each layer once');
  });

  it('let a tag list wait no longer than one request may, and come with what is proved', async () => {
    const slow = new BlobReads();
    const impatient = await startServer({
      storage: countingBlobs(new MemoryDriver(), slow),
      content: { bridge: { waitMs: 300 } },
    });
    try {
      const own = new BridgeClient(() => impatient.url);
      const v2 = new V2Client(impatient.url);
      const stuck = [80, 81, 82].map((seed) => makeV2Image({ seed, layers: 1 }));
      const gates = stuck.map((image) => slow.hold(image.layers[0]?.digest ?? ''));
      for (const [n, image] of stuck.entries())
        await v2.pushImage('proofs/list', `stuck-${n}`, image);
      const quick = makeV2Image({ seed: 83, layers: 1 });
      await v2.pushImage('proofs/list', 'quick', quick);
      const started = Date.now();
      const tags = await own.v1Tags('proofs/list');
      assert.ok(Date.now() - started < 1_500, 'three proofs at 300 ms each are not added up');
      assert.ok(!('stuck-0' in tags));
      const answer = await own.expect(404, 'GET', '/v1/repositories/proofs/list/tags/stuck-0');
      assert.match(answer.body.toString(), /unproved.*still being checked/);
      for (const open of gates) open();
      await until(() => slow.started.includes(quick.layers[0]?.digest ?? ''));
      const all = Object.keys(await own.v1Tags('proofs/list')).sort();
      assert.deepEqual(all, ['quick', 'stuck-0', 'stuck-1', 'stuck-2']);
    } finally {
      await impatient.close();
    }
  });

  it('tell of a manifest with a lying config once, and a client each time it asks', async () => {
    const told: string[] = [];
    const strict = await startServer({
      content: {
        bridge: { onUnbridgeable: (name, _digest, reason) => told.push(`${name} ${reason}`) },
      },
    });
    try {
      const own = new BridgeClient(() => strict.url);
      const layer = await own.pushBlob('proofs/liar', first.layers[0]?.bytes ?? Buffer.alloc(0));
      const claim = first.layers[1]?.diffId;
      const config = Buffer.from(JSON.stringify({ rootfs: { type: 'layers', diff_ids: [claim] } }));
      await own.pushBlob('proofs/liar', config);
      const mediaType = 'application/vnd.docker.container.image.v1+json';
      const body = {
        schemaVersion: 2,
        mediaType: SCHEMA2,
        config: { mediaType, size: config.length, digest: sha256(config) },
        layers: [
          {
            mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
            size: 1,
            digest: layer,
          },
        ],
      };
      await own.pushManifest('proofs/liar', 'v1', Buffer.from(JSON.stringify(body)), SCHEMA2);
      for (let time = 0; time < 3; time += 1) {
        const answer = await own.expect(404, 'GET', '/v1/repositories/proofs/liar/tags/v1');
        assert.match(answer.body.toString(), /diffid-mismatch/);
        assert.equal(header(answer.headers, 'content-type'), 'application/json');
      }
      assert.deepEqual(told, ['proofs/liar diffid-mismatch']);
    } finally {
      await strict.close();
    }
  });
});
