import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { createGzip } from 'node:zlib';
import type { ChildServer } from '../support/child-server.ts';
import { Seeded } from '../support/seeded.ts';
import { makeLayer, sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { startSubject } from './support/subject.ts';
import { Workspace } from './support/workspace.ts';

const MIB = 1024 * 1024;
const CHUNKS = 1024;
const LIMIT = 150 * MIB;

/** A tar with one file of 1 GiB: its header, a seeded chunk again and again (each numbered), and the end. */
async function* bigTar(seed: number): AsyncGenerator<Buffer> {
  const chunk = new Seeded(seed).bytes(MIB);
  yield bigHeader(MIB * CHUNKS);
  for (let n = 0; n < CHUNKS; n += 1) {
    const numbered = Buffer.from(chunk);
    numbered.writeUInt32BE(n, 0);
    yield numbered;
  }
  yield Buffer.alloc(1024);
}

/** The header of an empty file with another size in it. */
function bigHeader(size: number): Buffer {
  const header = Buffer.from(makeLayer([{ name: 'big' }], 'unended').tar);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('        ', 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** The same as gzip without compression: the server must still inflate it, and the test stays quick. */
function bigGzip(seed: number): Readable {
  return Readable.from(bigTar(seed)).pipe(createGzip({ level: 0 }));
}

async function hashOf(source: AsyncIterable<Buffer>): Promise<{ digest: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, size };
}

/** 1 GiB goes in and out over both protocols, and the server's memory does not grow with it. */
describe('a layer of 1 GiB', { timeout: 600_000 }, () => {
  let work: Workspace;
  let server: ChildServer;

  before(async () => {
    work = await Workspace.create();
    server = work.keep(await startSubject(await work.folder('registry')));
  });
  after(() => work.end());

  function expectLittleMemory(): void {
    const peak = server.peakMemory();
    assert.ok(peak < LIMIT, `the server took ${Math.round(peak / MIB)} MiB`);
  }

  it('goes in over V2 and out over V2', async () => {
    const expected = await hashOf(bigGzip(1));
    const client = new V2Client(server.url);
    await client.streamBlob('team/big-v2', bigGzip(1), () => expected.digest);
    const got = await hashOf(await client.streamOf('team/big-v2', expected.digest));
    assert.deepEqual(got, expected);
    expectLittleMemory();
  });

  it('goes in over V2 and out over V1', async () => {
    const [layer, tar] = await Promise.all([hashOf(bigGzip(1)), hashOf(bigTar(1))]);
    const client = new V2Client(server.url);
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        rootfs: { type: 'layers', diff_ids: [tar.digest] },
        history: [{ created: '2020-01-02T03:04:05Z' }],
      }),
    );
    await client.pushBlob('team/big-v2', config);
    const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
    const manifest = {
      schemaVersion: 2,
      mediaType,
      config: {
        mediaType: 'application/vnd.docker.container.image.v1+json',
        digest: sha256(config),
        size: config.length,
      },
      layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', ...layer }],
    };
    const bytes = Buffer.from(JSON.stringify(manifest));
    await client.pushManifest('team/big-v2', 'v1', bytes, mediaType);
    const hash = createHash('sha256');
    await new V1Client(server.url).pull('team/big-v2', 'v1', {
      sink: (_id, chunk) => {
        hash.update(chunk);
      },
    });
    assert.equal(`sha256:${hash.digest('hex')}`, layer.digest);
    expectLittleMemory();
  });

  it('goes in over V1 and out over V1 and V2', async () => {
    const expected = await hashOf(bigGzip(2));
    const id = createHash('sha256').update('big').digest('hex');
    const json = Buffer.from(JSON.stringify({ id, created: '2014-05-13T16:53:20Z' }));
    const image = { id, parent: undefined, json, layer: () => bigGzip(2) };
    await new V1Client(server.url).push('team/big-v1', 'v1', [image]);
    const hash = createHash('sha256');
    await new V1Client(server.url).pull('team/big-v1', 'v1', {
      cutAfter: 300 * MIB,
      sink: (_id, chunk) => {
        hash.update(chunk);
      },
    });
    assert.equal(`sha256:${hash.digest('hex')}`, expected.digest);
    const client = new V2Client(server.url);
    const manifest = JSON.parse(
      (await client.pullManifest('team/big-v1', 'v1')).bytes.toString(),
    ) as { layers: { digest: string; size: number }[] };
    const [layer] = manifest.layers;
    assert.deepEqual([layer?.digest, layer?.size], [expected.digest, expected.size]);
    assert.deepEqual(await hashOf(await client.streamOf('team/big-v1', expected.digest)), expected);
    expectLittleMemory();
  });
});
