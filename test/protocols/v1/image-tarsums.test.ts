import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { TarSum } from '../../../storage/bridge/tarsum.ts';
import { send } from '../../support/exchanges.ts';
import { makeImage } from '../../support/v1-images.ts';
import { type RunningRegistry, startRegistry } from '../../support/v1-registry.ts';

async function layerOf(header: { name: string; uname: string; gname: string }): Promise<Buffer> {
  const tar = pack();
  tar.entry(header, 'x');
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}

describe('a V1 image whose engine knows tarsums', () => {
  let server: RunningRegistry;
  before(async () => {
    server = await startRegistry();
  });
  after(() => server.close());

  it('finishes an image by its tarsum, as engines before 0.10 need it', async () => {
    const image = await makeImage('by tarsum');
    const path = `/v1/images/${image.id}`;
    await send(server.url, { method: 'PUT', path: `${path}/json`, body: image.json });
    await send(server.url, { method: 'PUT', path: `${path}/layer`, chunks: [image.layer] });
    const tarSum = new TarSum();
    tarSum.write(gunzipSync(image.layer));
    const tarsum = tarSum.finish(Buffer.from(image.json)) ?? '';
    const answer = await send(server.url, {
      method: 'PUT',
      path: `${path}/checksum`,
      headers: { 'x-docker-checksum': tarsum, 'x-docker-checksum-payload': 'sha256:wrong' },
    });
    assert.equal(answer.status, 200);
  });

  for (const version of ['v1', 'dev', 'v0-nameless'] as const) {
    it(`finishes an image by its tarsum of version ${version}`, async () => {
      const named = { name: 'owned', uname: 'user', gname: 'group' };
      const image = { ...(await makeImage(`by tarsum ${version}`)), layer: await layerOf(named) };
      const path = `/v1/images/${image.id}`;
      await send(server.url, { method: 'PUT', path: `${path}/json`, body: image.json });
      await send(server.url, { method: 'PUT', path: `${path}/layer`, chunks: [image.layer] });
      const tarSum = new TarSum(version);
      tarSum.write(gunzipSync(image.layer));
      const right = tarSum.finish(Buffer.from(image.json)) ?? '';
      const wrong = { 'x-docker-checksum': right.replace(/[0-9a-f]{64}$/, '0'.repeat(64)) };
      const refused = await send(server.url, {
        method: 'PUT',
        path: `${path}/checksum`,
        headers: wrong,
      });
      assert.equal(refused.status, 400);
      const taken = await send(server.url, {
        method: 'PUT',
        path: `${path}/checksum`,
        headers: { 'x-docker-checksum': right },
      });
      assert.equal(taken.status, 200);
    });
  }
});
