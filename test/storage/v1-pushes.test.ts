import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import type { V1ImageId } from '../../storage/names.ts';
import type { V1Reader } from '../../storage/v1-images.ts';
import { ANYONE } from '../../storage/v1-tags.ts';
import { request } from '../support/http-client.ts';
import { makeV1Chain, type V1Image } from '../support/images.ts';
import { useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';

const payloadOf = ({ json, layer }: V1Image) =>
  sha256(Buffer.concat([json, Buffer.from('\n'), layer]));

for (const storage of ['filesystem', 'memory'] as const) {
  describe(`a V1 push into ${storage}`, () => {
    const server = useServer({ storage });
    let seed = storage === 'memory' ? 700 : 800;
    const image = () => makeV1Chain({ seed: ++seed, layers: 1 })[0] as V1Image;
    const put = (path: string, headers: Record<string, string> = {}, body?: Buffer) =>
      request(server.url + path, { method: 'PUT', headers, ...(body && { body }) });
    const stage = async ({ id, json, layer }: V1Image) => {
      assert.equal((await put(`/v1/images/${id}/json`, {}, json)).status, 200);
      assert.equal((await put(`/v1/images/${id}/layer`, {}, layer)).status, 200);
    };
    const complete = (one: V1Image, more: Record<string, string> = {}) =>
      put(`/v1/images/${one.id}/checksum`, {
        'x-docker-checksum-payload': payloadOf(one),
        ...more,
      });
    const sumsOf = async ({ id }: V1Image) =>
      (await server.content.explicit.get(id as V1ImageId))?.checksums ?? [];
    const recordOf = ({ id }: V1Image) => `/docker/registry/v1/images/${id}`;
    const stagedFile = ({ id }: V1Image, file: string) =>
      `/docker/registry/v1/staging/${id}-anonymous/${file}`;

    it('is begun again where a power cut took the layer and left the record', async () => {
      const one = image();
      await stage(one);
      assert.equal((await complete(one)).status, 200);
      const record = await server.driver.get(recordOf(one));
      const hex = sha256(one.layer).slice('sha256:'.length);
      await server.driver.delete(`/docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}`);
      await server.driver.delete(recordOf(one));
      // Another record, as nothing is remembered after a power cut.
      await server.driver.put(recordOf(one), record.toString().replace('{', '{ '));
      assert.equal((await request(`${server.url}/v1/images/${one.id}/json`)).status, 404);
      await new V1Client(server.url).push('mended', 'v1', [one]);
      const { images } = await new V1Client(server.url).pull('mended', 'v1');
      assert.deepEqual(images[0]?.layer, one.layer);
    });

    it('is begun again where a power cut tore what was staged', async () => {
      const one = image();
      await stage(one);
      const received = (await server.driver.get(stagedFile(one, 'received'))).toString();
      const foreign = { ...(JSON.parse(received) as object), boot: 'before the power cut' };
      await server.driver.put(stagedFile(one, 'received'), JSON.stringify(foreign));
      const answer = await complete(one);
      assert.equal(answer.status, 400);
      assert.match(answer.body.toString(), /was not uploaded yet/);
      await server.driver.put(stagedFile(one, 'json'), '');
      assert.equal((await put(`/v1/images/${one.id}/layer`, {}, one.layer)).status, 404);
      await stage(one);
      assert.equal((await complete(one)).status, 200);
    });

    it('belongs to who completes it first, where several push one ID', async () => {
      const { pushes, v1, explicit } = server.content;
      const [first, other] = [image(), image()];
      const id = first.id as V1ImageId;
      const contents = [first, first, { ...other, id, json: Buffer.from(`{"id":"${id}"}`) }];
      const claimants = contents.map((content, n) => ({ content, claimant: `user${n}` }));
      for (const { content, claimant } of claimants) {
        const reader: V1Reader = { unrestricted: false, mayPull: () => false, claimant };
        await pushes.begin(id, content.json, [id], claimant);
        await v1.putLayer(id, Readable.from([content.layer]), reader);
      }
      const ends = await Promise.allSettled(
        claimants.map(({ content, claimant }) =>
          pushes.complete(id, { payload: payloadOf(content) }, claimant, async () => undefined),
        ),
      );
      const stored = await explicit.get(id);
      for (const [n, { content, claimant }] of claimants.entries()) {
        const won = stored?.checksums.includes(payloadOf(content)) ?? false;
        assert.equal(ends[n]?.status, won ? 'fulfilled' : 'rejected', claimant);
        assert.equal(await pushes.hasClaim(id, claimant), won, claimant);
      }
    });

    it('keeps the tarsum of a client that sends one, whatever was sent for the parent', async () => {
      const chain = makeV1Chain({ seed: ++seed, layers: 3 }) as [V1Image, V1Image, V1Image];
      const [base, silent, engine] = chain;
      await stage(base);
      assert.equal((await complete(base)).status, 200);
      await stage(silent);
      assert.equal((await complete(silent)).status, 200);
      await stage(engine);
      const wrong = { 'x-docker-checksum': `tarsum+sha256:${'0'.repeat(64)}` };
      assert.equal((await complete(engine, wrong)).status, 200);
      for (const one of [base, silent]) assert.deepEqual(await sumsOf(one), [payloadOf(one)]);
      const [payload, tarsum] = await sumsOf(engine);
      assert.equal(payload, payloadOf(engine));
      assert.match(tarsum ?? '', /^tarsum\+sha256:[0-9a-f]{64}$/);
      await server.content.v1.image(engine.id as V1ImageId, ANYONE);
    });
  });
}
