import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { AccessControl, Session } from '../../protocols/registry.ts';
import { registryError } from '../../protocols/registry.ts';
import { BridgeClient, SCHEMA2 } from '../support/bridge-client.ts';
import { makeV1Chain, makeV2Image, type V2Image } from '../support/images.ts';
import { useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';

/** alice may use what begins with `alice/` and `shared/`, bob what begins with `bob/` and `shared/`. */
const access: AccessControl = {
  accounts: true,
  authorize(request, wanted) {
    const session = sessionOf(request.authorization);
    for (const each of wanted) {
      if (!session.may(each)) throw registryError('DENIED', 'not yours');
    }
    return session;
  },
};

/** `Basic NAME`, or `Token NAME,REPOSITORY` for a token that speaks for one repository. */
function sessionOf(authorization: string | undefined): Session {
  const [, user, repository] = /^(?:Basic|Token) (\w+)(?:,(.+))?$/.exec(authorization ?? '') ?? [];
  return {
    user,
    may: (wanted) =>
      wanted.type === 'catalog' ||
      (user !== undefined && new RegExp(`^(${user}|shared)/`).test(wanted.name)),
    ...(repository !== undefined && { repository }),
  };
}

const idOf = (image: V2Image) => sha256(image.config).slice(7);

describe('who may see an image over V1', () => {
  const server = useServer({ access });
  const client = new BridgeClient(() => server.url);
  const as = (user: string) => ({ authorization: `Basic ${user}` });
  const image = makeV2Image({ seed: 30, layers: 2 });
  const chain = makeV1Chain({ seed: 31, layers: 2 });
  const base = image.layers[0]?.diffId.slice(7) ?? '';

  async function pushV2(user: string, name: string, pushed = image): Promise<void> {
    for (const bytes of pushed.blobs.values()) {
      const path = `/v2/${name}/blobs/uploads/?digest=${sha256(bytes)}`;
      await client.expect(201, 'POST', path, as(user), bytes);
    }
    const headers = { ...as(user), 'content-type': pushed.mediaType };
    await client.expect(201, 'PUT', `/v2/${name}/manifests/v1`, headers, pushed.manifest);
  }

  const tagOf = (user: string, name: string) =>
    client.call('GET', `/v1/repositories/${name}/tags/v1`, as(user));
  const json = (authorization: string, id: string) =>
    client.call('GET', `/v1/images/${id}/json`, { authorization });

  it('is whoever may pull a repository that has it, be it virtual', async () => {
    await pushV2('alice', 'alice/app');
    assert.equal((await tagOf('alice', 'alice/app')).status, 200);
    for (const id of [base, idOf(image)]) {
      assert.equal((await json('Basic alice', id)).status, 200);
      assert.equal((await json('Basic bob', id)).status, 404, 'bob hears that it is not there');
    }
  });

  it('is not who merely knows its ID: a push of it is taken, and proves nothing', async () => {
    const id = idOf(image);
    const own = Buffer.from(`{"id":"${id}"}`);
    await client.expect(200, 'PUT', `/v1/images/${id}/json`, as('bob'), own);
    assert.equal((await json('Basic bob', id)).status, 400, 'it is being uploaded');
    const seen = await client.expect(200, 'GET', `/v1/images/${id}/layer`, as('alice'));
    assert.deepEqual(seen.body, image.layers[1]?.bytes);
  });

  it('is who may pull another repository that has it as well', async () => {
    await pushV2('alice', 'shared/app');
    assert.equal((await tagOf('bob', 'shared/app')).status, 200);
    assert.equal((await json('Basic bob', base)).status, 200);
  });

  it('is a token only through its own repository', async () => {
    assert.equal((await json('Token alice,alice/app', base)).status, 200);
    assert.equal((await json('Token alice,alice/other', base)).status, 404);
    assert.equal((await json('Token bob,shared/app', base)).status, 200);
  });

  it('holds for images that V1 clients pushed, and for what they are made into', async () => {
    for (const each of chain) await push(each);
    const top = chain.at(-1)?.id ?? '';
    const path = '/v1/repositories/alice/born/tags/v1';
    await client.expect(200, 'PUT', path, as('alice'), JSON.stringify(top));
    assert.equal((await json('Basic alice', top)).status, 200);
    assert.equal((await json('Basic bob', top)).status, 404);
    await client.expect(403, 'GET', '/v2/alice/born/manifests/v1', as('bob'));
    const taken = await client.call(
      'PUT',
      '/v1/repositories/bob/stolen/tags/v1',
      as('bob'),
      JSON.stringify(top),
    );
    assert.equal(taken.status, 404, 'bob cannot tag what he cannot read');
  });

  it('is nobody else by pushing other content under its ID: the first stays, and the push is refused', async () => {
    const top = chain[1];
    assert.ok(top);
    await push(chain[0] as typeof top, 'bob');
    const other = makeV1Chain({ seed: 32, layers: 2 })[1]?.layer ?? Buffer.alloc(0);
    const sum = createHash('sha256').update(top.json).update('\n').update(other).digest('hex');
    const at = `/v1/images/${top.id}`;
    await client.expect(200, 'PUT', `${at}/json`, as('bob'), top.json);
    await client.expect(200, 'PUT', `${at}/layer`, as('bob'), other);
    const sums = { ...as('bob'), 'x-docker-checksum-payload': `sha256:${sum}` };
    await client.expect(409, 'PUT', `${at}/checksum`, sums);
    const seen = await client.expect(200, 'GET', `${at}/layer`, as('alice'));
    assert.deepEqual(seen.body, top.layer);
    assert.notEqual((await json('Basic bob', top.id)).status, 200);
  });

  it('holds for the images behind a V2 copy: V1 IDs for those who may read them, derived ones for others', async () => {
    const headers = { ...as('alice'), accept: SCHEMA2 };
    const { body } = await client.expect(200, 'GET', '/v2/alice/born/manifests/v1', headers);
    const { config, layers } = JSON.parse(body.toString()) as {
      config: { digest: string };
      layers: { digest: string }[];
    };
    for (const { digest } of [config, ...layers]) {
      const blob = await client.expect(200, 'GET', `/v2/alice/born/blobs/${digest}`, as('alice'));
      const path = `/v2/bob/copy/blobs/uploads/?digest=${digest}`;
      await client.expect(201, 'POST', path, as('bob'), blob.body);
    }
    const put = { ...as('bob'), 'content-type': SCHEMA2 };
    await client.expect(201, 'PUT', '/v2/bob/copy/manifests/v1', put, body);
    assert.equal(
      JSON.parse((await tagOf('bob', 'bob/copy')).body.toString()),
      config.digest.slice(7),
    );
    assert.notEqual((await json('Basic bob', chain.at(-1)?.id ?? '')).status, 200);
  });

  it('ends with the repository', async () => {
    const top = chain.at(-1)?.id ?? '';
    const path = '/v1/repositories/shared/born';
    await client.expect(200, 'PUT', `${path}/tags/v1`, as('alice'), JSON.stringify(top));
    assert.equal((await json('Basic bob', top)).status, 200);
    await client.expect(200, 'DELETE', `${path}/`, as('alice'));
    assert.notEqual((await json('Basic bob', top)).status, 200);
    assert.equal((await json('Basic alice', top)).status, 200);
  });

  async function push(each: (typeof chain)[number], user = 'alice'): Promise<void> {
    const at = `/v1/images/${each.id}`;
    await client.expect(200, 'PUT', `${at}/json`, as(user), each.json);
    await client.expect(200, 'PUT', `${at}/layer`, as(user), each.layer);
    const sums = { ...as(user), 'x-docker-checksum': each.tarsum ?? '' };
    await client.expect(200, 'PUT', `${at}/checksum`, sums);
  }
});
