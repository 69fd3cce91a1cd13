import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RepositoryName } from '../../../storage/names.ts';
import { basic, testAccounts } from '../../support/accounts.ts';
import { request } from '../../support/http-client.ts';
import { makeV1Chain, type V1Image } from '../../support/images.ts';
import { assertSame, layerPath, top, useMirror } from '../../support/mirror-rig.ts';
import { V1Client } from '../../support/v1-client.ts';
import { V1Error } from '../../support/v1-session.ts';

const rig = useMirror(400);

describe('a mirror with accounts', () => {
  it('fetches images only through repositories that the session may read', async (context) => {
    const open = await rig.push('public', { layers: 2 });
    const secret = await rig.push('secret/app', { layers: 2 });
    const own = await rig.begin(context, { access: testAccounts() });
    const ann = new V1Client(own.url, '1.5.0', { username: 'ann', password: 'secret' });
    const bob = new V1Client(own.url, '1.5.0', { username: 'bob', password: 'builder' });
    const asBob = (image: V1Image, file: string) =>
      request(`${own.url}/v1/images/${image.id}/${file}`, {
        headers: { authorization: basic('bob', 'builder') },
      });
    assertSame(open, (await bob.pull('public', 'v1')).images);
    await rig.allStored(open, own);
    assert.equal((await asBob(top(open), 'json')).status, 200);
    for (const image of secret) assert.equal((await asBob(image, 'layer')).status, 404);
    await assert.rejects(
      bob.pull('secret/app', 'v1'),
      (error) => error instanceof V1Error && error.status === 403,
    );
    assertSame(secret, (await ann.pull('secret/app', 'v1')).images);
    await rig.allStored(secret, own);
    for (const image of secret) assert.equal((await asBob(image, 'layer')).status, 404);
    assert.equal(
      await own.registry.content.repository('secret/app' as RepositoryName).exists(),
      false,
    );
  });

  it('does not open a private image to whoever makes upstream name it', async (context) => {
    const own = await rig.begin(context, { access: testAccounts() });
    const [image] = makeV1Chain({ seed: 9100, layers: 1 }) as [V1Image];
    await new V1Client(own.url, '1.5.0', { username: 'ann', password: 'secret' }).push(
      'ann/private',
      'v1',
      [image],
    );
    const answers: Record<string, string> = {
      '/v1/repositories/public/tags': JSON.stringify({ v1: image.id }),
      '/v1/repositories/public/images': JSON.stringify([{ id: image.id }]),
      [`/v1/images/${image.id}/json`]: image.json.toString(),
      [`/v1/images/${image.id}/ancestry`]: JSON.stringify([image.id]),
    };
    rig.relay.intercept = (incoming, response) => {
      const answer = answers[incoming.url ?? ''];
      if (answer === undefined) response.writeHead(404).end();
      else response.setHeader('x-docker-size', image.layer.length).end(answer);
      return true;
    };
    const bob = { authorization: basic('bob', 'builder') };
    const tags = await request(`${own.url}/v1/repositories/public/tags`, { headers: bob });
    assert.equal(tags.status, 200);
    await assert.rejects(request(own.url + layerPath(image), { headers: bob }));
  });
});
