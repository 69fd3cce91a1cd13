import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { header, jsonOf, request } from '../../support/http-client.ts';
import type { V1Image } from '../../support/images.ts';
import { assertSame, layerPath, top, useMirror } from '../../support/mirror-rig.ts';
import { V1Client } from '../../support/v1-client.ts';

const rig = useMirror(200);

describe('a mirror of an upstream that', () => {
  const rows: [string, (image: V1Image, response: ServerResponse) => void][] = [
    [
      'sends another layer than it promised',
      ({ layer }, response) => response.end(Buffer.alloc(layer.length)),
    ],
    ['sends too little', ({ layer }, response) => response.end(layer.subarray(0, 100))],
    [
      'sends too much',
      ({ layer }, response) => response.end(Buffer.concat([layer, Buffer.alloc(10)])),
    ],
    ['breaks off again and again', (_, response) => response.destroy()],
    ['stops in the middle', ({ layer }, response) => response.write(layer.subarray(0, 100))],
    ['never answers', () => undefined],
    ['has lost the layer', (_, response) => response.writeHead(404).end()],
    ['fails', (_, response) => response.writeHead(500).end()],
  ];
  for (const [what, answer] of rows) {
    it(`${what}, gives no whole layer and stores nothing`, async () => {
      const images = await rig.push('a/false', { layers: 2 });
      rig.forPath(layerPath(top(images)), (_, response) => answer(top(images), response));
      await assert.rejects(request(rig.mirror.url + layerPath(top(images))));
      await eventually(
        () => rig.mirror.lines.some(({ event }) => event === 'image not mirrored'),
        'the warning',
      );
      assert.equal(await rig.stored(top(images)), false);
      rig.up();
      await new Promise((done) => setTimeout(done, 250));
      assertSame(images, (await new V1Client(rig.mirror.url).pull('a/false', 'v1')).images);
      await rig.allStored(images);
    });
  }

  it('lies about what is below an image stores nothing of it', async () => {
    const images = await rig.push('a/ancestry');
    const { id } = top(images);
    const [base] = images;
    for (const ancestry of [[id, base?.id], [id], [id, id], [id, 'x'], {}, [base?.id, id]]) {
      rig.forPath(`/v1/images/${id}/ancestry`, (_, response) => {
        response.end(JSON.stringify(ancestry));
      });
      assert.equal((await request(rig.mirror.url + layerPath(top(images)))).status, 503);
    }
    const [, middle] = images as [V1Image, V1Image];
    rig.forPath(`/v1/images/${id}/ancestry`, (_, response) => {
      response.end(JSON.stringify([id, middle.id]));
    });
    await request(rig.mirror.url + layerPath(top(images)));
    await eventually(
      () => rig.mirror.lines.some(({ event }) => event === 'image not mirrored'),
      'the warning',
    );
    assert.equal(await rig.stored(top(images)), false);
  });

  it('gives another image than the one asked for stores nothing', async () => {
    const [one, other] = (await rig.push('a/other', { layers: 2 })) as [V1Image, V1Image];
    rig.forPath(`/v1/images/${one.id}/json`, (_, response) => response.end(other.json));
    assert.equal((await request(`${rig.mirror.url}/v1/images/${one.id}/json`)).status, 503);
  });

  it('says neither sizes nor sums is believed', async () => {
    const [image] = (await rig.push('a/silent', { layers: 1 })) as [V1Image];
    rig.forPath(`/v1/images/${image.id}/json`, (_, response) => response.end(image.json));
    const json = await request(`${rig.mirror.url}/v1/images/${image.id}/json`);
    assert.equal(header(json.headers, 'x-docker-size'), String(image.layer.length));
    assert.ok(await rig.stored(image));
  });

  it('hangs is waited for no longer than the limit', async () => {
    await rig.push('a/hang', { layers: 1 });
    rig.relay.intercept = () => true;
    const started = Date.now();
    const answer = await request(`${rig.mirror.url}/v1/repositories/a/hang/tags`);
    assert.equal(answer.status, 503);
    assert.match(jsonOf<{ error: string }>(answer).error, /did not answer/);
    assert.ok(Date.now() - started < 2000);
    const again = Date.now();
    assert.equal((await request(`${rig.mirror.url}/v1/repositories/a/hang/tags`)).status, 503);
    assert.ok(Date.now() - again < 200, 'it is left alone for a while');
  });
});
