import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BridgeClient, OCI, SCHEMA2 } from '../support/bridge-client.ts';
import { header, jsonOf } from '../support/http-client.ts';
import { makeV1Chain, makeV2Image, type V1Image, type V2Image } from '../support/images.ts';
import { useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';

const idOf = (image: V2Image) => sha256(image.config).slice(7);
const topOf = (chain: V1Image[]) => chain.at(-1)?.id ?? '';

describe('one tag with two views', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);
  const v2 = () => new V2Client(server.url);
  const chain = makeV1Chain({ seed: 50, layers: 3 });
  const image = makeV2Image({ seed: 51, layers: 2 });

  it('is moved for V2 clients as soon as V1 moves it, and the other way round', async () => {
    await client.pushV1('tags/moved', 'v1', chain);
    const lifted = await client.digestOf('tags/moved', 'v1');
    assert.ok(lifted);
    for (let round = 0; round < 3; round += 1) {
      await v2().pushImage('tags/moved', 'v1', image);
      assert.equal(await client.v1Tag('tags/moved', 'v1'), idOf(image));
      assert.equal((await client.v1Tags('tags/moved')).v1, idOf(image));
      assert.equal(await client.digestOf('tags/moved', 'v1'), image.digest);
      await client.tagV1('tags/moved', 'v1', topOf(chain));
      assert.equal(await client.v1Tag('tags/moved', 'v1'), topOf(chain));
      assert.equal(await client.digestOf('tags/moved', 'v1'), lifted);
    }
  });

  it('is in every list of either protocol, whichever it came by', async () => {
    await client.pushV1('union/repo', 'by-v1', chain);
    await v2().pushImage('union/repo', 'by-v2', image);
    assert.deepEqual(await client.v2Tags('union/repo'), ['by-v1', 'by-v2']);
    const tags = { 'by-v1': topOf(chain), 'by-v2': idOf(image) };
    assert.deepEqual(await client.v1Tags('union/repo'), tags);
    const ids = await client.v1Images('union/repo');
    const { images } = await new V1Client(server.url).pull('union/repo', 'by-v2');
    assert.deepEqual(ids.sort(), [...chain, ...images].map(({ id }) => id).sort());
    assert.ok((await v2().catalog()).includes('union/repo'));
    const found = await new V1Client(server.url).search('union');
    assert.deepEqual(
      found.map(({ name }) => name),
      ['union/repo'],
    );
  });

  it('has no Tag in the image list: old engines would pull all that ever had one', async () => {
    const answer = await client.expect(200, 'GET', '/v1/repositories/union/repo/images');
    for (const entry of jsonOf<object[]>(answer)) assert.ok(!('Tag' in entry));
  });

  describe('on an image without a V2 form', () => {
    const id = sha256('no tar').slice(7);
    const cut = {
      id,
      json: Buffer.from(JSON.stringify({ id })),
      layer: Buffer.from('1f8b080000', 'hex'),
    };

    it('is seen over V1 as it came, and V2 says why not', async () => {
      await client.pushV1('hidden/repo', 'v1', [cut]);
      assert.deepEqual(await client.v1Tags('hidden/repo'), { v1: id });
      assert.deepEqual((await client.v1Image(id)).layer, cut.layer);
      const answer = await client.manifest('hidden/repo', 'v1', SCHEMA2);
      assert.equal(answer.status, 404);
      assert.match(answer.body.toString(), /MANIFEST_UNKNOWN.*cannot be shown over V2: bad-layer/);
    });

    it('leaves its repository known to V2, without the tag, and found by a search', async () => {
      assert.deepEqual(await client.v2Tags('hidden/repo'), []);
      assert.ok(!(await v2().catalog()).includes('hidden/repo'));
      const found = await new V1Client(server.url).search('hidden');
      assert.deepEqual(
        found.map(({ name }) => name),
        ['hidden/repo'],
      );
      const unknown = await client.expect(404, 'GET', '/v2/hidden/nothing/tags/list');
      assert.match(unknown.body.toString(), /NAME_UNKNOWN/);
    });

    it('is not for V2 to delete, and goes when V1 deletes it', async () => {
      await client.expect(404, 'DELETE', '/v2/hidden/repo/manifests/v1');
      assert.equal(await client.v1Tag('hidden/repo', 'v1'), id);
      await client.expect(200, 'DELETE', '/v1/repositories/hidden/repo/tags/v1');
      assert.equal(await client.v1Tag('hidden/repo', 'v1'), undefined);
      await client.expect(404, 'DELETE', '/v1/repositories/hidden/repo/tags/v1');
      await client.expect(404, 'GET', '/v2/hidden/repo/tags/list');
    });

    it('gives way to what V2 pushes, and takes the tag back', async () => {
      await client.pushV1('hidden/both', 'v1', [cut]);
      await v2().pushImage('hidden/both', 'v1', image);
      assert.equal(await client.v1Tag('hidden/both', 'v1'), idOf(image));
      await client.tagV1('hidden/both', 'v1', id);
      assert.equal(await client.v1Tag('hidden/both', 'v1'), id);
      assert.equal(await client.digestOf('hidden/both', 'v1'), undefined);
    });
  });
});

describe('a delete over one protocol', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);
  const v2 = () => new V2Client(server.url);
  const image = makeV2Image({ seed: 53, layers: 2 });

  async function pushV1(name: string, seed: number) {
    const chain = makeV1Chain({ seed, layers: 2 });
    await client.pushV1(name, 'v1', chain);
    const schema2 = await client.digestOf(name, 'v1');
    const digestOf = async (accept?: string) =>
      header((await client.manifest(name, 'v1', accept)).headers, 'docker-content-digest') ?? '';
    return { chain, forms: [schema2 ?? '', await digestOf(OCI), await digestOf()] };
  }

  for (const [n, form] of ['schema 2', 'OCI', 'schema 1'].entries()) {
    it(`takes a V1-born tag and all forms along when V2 deletes its ${form} form`, async () => {
      const name = `deleted/form-${n}`;
      const { chain, forms } = await pushV1(name, 60 + n);
      assert.equal(new Set(forms).size, 3);
      await client.expect(202, 'DELETE', `/v2/${name}/manifests/${forms[n]}`);
      for (const gone of forms) await client.expect(404, 'GET', `/v2/${name}/manifests/${gone}`);
      assert.equal(await client.digestOf(name, 'v1'), undefined);
      assert.equal(await client.v1Tag(name, 'v1'), undefined);
      assert.deepEqual(await client.v1Tags(name), {});
      assert.deepEqual(await client.v2Tags(name), []);
      // Images have no delete of their own; they go with garbage collection.
      await client.expect(200, 'GET', `/v1/images/${topOf(chain)}/json`);
    });
  }

  it('takes only the one form where V2 clients tagged it', async () => {
    const { forms } = await pushV1('deleted/origin', 65);
    const [schema2 = '', oci = ''] = forms;
    for (const [digest, tag, type] of [
      [schema2, 'docker', SCHEMA2],
      [oci, 'oci', OCI],
    ] as const) {
      const { body } = await client.manifest('deleted/origin', digest);
      const { config, layers } = JSON.parse(body.toString()) as V2Body;
      for (const { digest: blob } of [config, ...layers]) {
        const path = `/v2/deleted/copy/blobs/uploads/?mount=${blob}&from=deleted/origin`;
        await client.expect(201, 'POST', path);
      }
      await client.pushManifest('deleted/copy', tag, body, type);
    }
    await client.expect(202, 'DELETE', `/v2/deleted/copy/manifests/${schema2}`);
    assert.deepEqual(await client.v2Tags('deleted/copy'), ['oci']);
    await client.expect(200, 'GET', `/v2/deleted/copy/manifests/${oci}`);
  });

  it('takes the tag alone when it names a tag, for both protocols', async () => {
    const { chain, forms } = await pushV1('deleted/tag', 66);
    await client.tagV1('deleted/tag', 'v2', topOf(chain));
    await client.expect(202, 'DELETE', '/v2/deleted/tag/manifests/v1');
    assert.deepEqual(await client.v1Tags('deleted/tag'), { v2: topOf(chain) });
    await client.expect(200, 'DELETE', '/v1/repositories/deleted/tag/tags/v2');
    assert.deepEqual(await client.v2Tags('deleted/tag'), []);
    await client.expect(200, 'GET', `/v2/deleted/tag/manifests/${forms[0]}`);
  });

  it('by V1 of a V2-born tag leaves the manifest', async () => {
    await v2().pushImage('deleted/v2-tag', 'v1', image);
    await client.expect(200, 'DELETE', '/v1/repositories/deleted/v2-tag/tags/v1');
    assert.equal(await client.digestOf('deleted/v2-tag', 'v1'), undefined);
    await client.expect(200, 'GET', `/v2/deleted/v2-tag/manifests/${image.digest}`);
  });

  it('by V2 of a manifest hides its virtual images, unless another repository has it', async () => {
    const own = makeV2Image({ seed: 54, layers: 2 });
    const { images } = await pulled('deleted/one', own);
    await pulled('deleted/other', own);
    const ids = images.map(({ id }) => id);
    await v2().deleteManifest('deleted/one', own.digest);
    assert.equal(await client.v1Tag('deleted/one', 'v1'), undefined);
    for (const id of ids) await client.expect(200, 'GET', `/v1/images/${id}/layer`);
    await v2().deleteManifest('deleted/other', own.digest);
    for (const id of ids) await client.expect(404, 'GET', `/v1/images/${id}/layer`);
  });

  it('by V1 of a repository takes its tags, lists and manifests for both', async () => {
    const { forms } = await pushV1('deleted/whole', 67);
    await pulled('deleted/whole', image);
    await client.expect(200, 'DELETE', '/v1/repositories/deleted/whole/');
    for (const digest of [...forms, image.digest]) {
      await client.expect(404, 'GET', `/v2/deleted/whole/manifests/${digest}`);
    }
    await client.expect(404, 'GET', '/v2/deleted/whole/tags/list');
    await client.expect(404, 'GET', '/v1/repositories/deleted/whole/tags');
    await client.expect(404, 'GET', '/v1/repositories/deleted/whole/images');
    await client.expect(404, 'GET', `/v1/images/${idOf(image)}/json`);
    assert.ok(!(await v2().catalog()).includes('deleted/whole'));
    assert.deepEqual(await new V1Client(server.url).search('whole'), []);
  });

  async function pulled(name: string, of: V2Image) {
    await v2().pushImage(name, 'v2', of);
    await v2().pushImage(name, 'v1', of);
    return new V1Client(server.url).pull(name, 'v1');
  }
});

interface V2Body {
  config: { digest: string };
  layers: { digest: string }[];
}
