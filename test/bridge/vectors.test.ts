import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  BridgeClient,
  LIST,
  OCI,
  payloadOf,
  SCHEMA1,
  SCHEMA2,
  wipeDerived,
} from '../support/bridge-client.ts';
import {
  fromBase64,
  type LayerVector,
  readLayers,
  readVector,
  readVectors,
  type Schema1InVector,
  type V1ToV2Vector,
  type V2ToV1Vector,
} from '../support/bridge-vectors.ts';
import { header, jsonOf } from '../support/http-client.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';

const layers = readLayers();
const blobOf = (name: string) => fromBase64((layers.get(name) as LayerVector).blob);
const EMPTY_GZIP = blobOf('emptygz');
/** docker 1.12 names list, signed schema 1, JSON and schema 2. */
const DOCKER_1_12 = `${SCHEMA1}, application/json, ${LIST}, ${SCHEMA2}`;

type ManifestVector = V2ToV1Vector & { manifestMediaType: string };
type SizedVector = V2ToV1Vector['v1'][number] & { size?: number };

/** The golden vectors over both protocols of a running registry, again after a restart without derived records. */
for (const storage of ['memory', 'filesystem'] as const) {
  describe(`golden vectors over HTTP, stored in ${storage === 'memory' ? 'memory' : 'files'}`, () => {
    let first: TestServer;
    let running: TestServer;
    const client = new BridgeClient(() => running.url);

    before(async () => {
      first = await startServer({ storage });
      running = first;
      await pushAll();
    });
    after(async () => {
      if (running !== first) await running.close();
      await first.close();
    });

    async function pushAll(): Promise<void> {
      for (const [, vector] of readVectors<V1ToV2Vector>('v1v2-')) {
        const { repo, tag } = vector.schema1;
        // Only where this repository stands already does V1's library/ mean it, and not the bare name (7.2).
        if (repo.startsWith('library/')) await pushEmptyImage(repo);
        const chain = vector.chain.map(({ id, json, layer }) => ({
          id,
          json: fromBase64(json),
          layer: blobOf(layer),
        }));
        await client.pushV1(repo, tag, chain);
      }
      for (const [, vector] of readVectors<ManifestVector>('v2v1-')) {
        const { repo, tag } = vector.schema1;
        for (const { layer } of vector.layers) await client.pushBlob(repo, blobOf(layer));
        await client.pushBlob(repo, fromBase64(vector.config.base64));
        const manifest = fromBase64(vector.manifest.base64);
        await client.pushManifest(repo, tag, manifest, vector.manifestMediaType);
      }
      for (const [, vector] of readVectors<Schema1InVector>('schema1-in-')) {
        for (const { layer } of vector.layersBaseFirst) {
          await client.pushBlob(vector.repo, blobOf(layer));
        }
        await client.pushBlob(vector.repo, EMPTY_GZIP);
        await client.pushManifest(vector.repo, vector.tag, fromBase64(vector.signed), SCHEMA1);
      }
    }

    async function pushEmptyImage(name: string): Promise<void> {
      const config = Buffer.from('{"rootfs":{"type":"layers","diff_ids":[]}}');
      await client.pushBlob(name, config);
      const type = 'application/vnd.docker.container.image.v1+json';
      const described = { mediaType: type, size: config.length, digest: sha256(config) };
      const body = { schemaVersion: 2, mediaType: SCHEMA2, config: described, layers: [] };
      await client.pushManifest(name, 'other', Buffer.from(JSON.stringify(body)), SCHEMA2);
    }

    describe('as pushed', () => checkAll());

    describe('after a restart without caches and derived records', () => {
      before(async () => {
        await wipeDerived(first.driver);
        running = await startServer({ storage: first.driver });
      });
      checkAll();
    });

    function checkAll(): void {
      for (const [file, vector] of readVectors<V1ToV2Vector>('v1v2-')) {
        it(`${file}: every V2 form by tag, by HEAD and by digest`, () => checkLifted(vector));
        it(`${file}: back over V1 as it came`, () => checkV1Back(vector));
      }
      for (const [file, vector] of readVectors<ManifestVector>('v2v1-')) {
        it(`${file}: the V1 view to the byte`, () => checkLowered(vector));
        it(`${file}: schema 1 for docker 1.6 to 1.9`, () => checkSchema1(vector.schema1));
      }
      for (const [file, vector] of readVectors<Schema1InVector>('schema1-in-')) {
        it(`${file}: as signed, and lifted for everybody else`, () => checkSchema1In(vector));
      }
    }

    async function checkLifted(vector: V1ToV2Vector): Promise<void> {
      const { repo, tag } = vector.schema1;
      const accepts = [
        { accept: SCHEMA2, form: vector.schema2 },
        { accept: '*/*', form: vector.schema2 },
        { accept: `${OCI}, ${SCHEMA2}`, form: vector.schema2 },
        { accept: DOCKER_1_12, form: vector.schema2 },
        { accept: OCI, form: vector.oci },
      ];
      for (const { accept, form } of accepts) {
        const answer = await client.manifest(repo, tag, accept);
        assert.equal(answer.body.toString(), fromBase64(form.base64).toString(), accept);
        assert.equal(header(answer.headers, 'docker-content-digest'), form.digest);
        const head = await client.call('HEAD', `/v2/${repo}/manifests/${tag}`, { accept });
        assert.equal(header(head.headers, 'docker-content-digest'), form.digest);
        assert.equal(header(head.headers, 'content-length'), String(form.size));
        const again = await client.manifest(repo, form.digest, accept);
        assert.deepEqual(again.body, answer.body, 'by digest');
      }
      const config = await client.expect(200, 'GET', `/v2/${repo}/blobs/${vector.config.digest}`);
      assert.equal(config.body.toString(), fromBase64(vector.config.base64).toString());
      for (const { v2Digest, v2Size } of vector.chain) {
        const blob = await client.expect(200, 'GET', `/v2/${repo}/blobs/${v2Digest}`);
        assert.equal(blob.body.length, v2Size);
        assert.equal(sha256(blob.body), v2Digest);
      }
      await checkSchema1(vector.schema1);
    }

    async function checkV1Back(vector: V1ToV2Vector): Promise<void> {
      const { repo, tag } = vector.schema1;
      assert.equal(await client.v1Tag(repo, tag), vector.ancestry[0]);
      assert.equal((await client.v1Tags(repo))[tag], vector.ancestry[0]);
      const listed = await client.v1Images(repo);
      for (const [index, { id, json, layer }] of vector.chain.entries()) {
        assert.ok(listed.includes(id), `${id} is not in the list`);
        const seen = await client.v1Image(id);
        assert.deepEqual(seen.json, fromBase64(json));
        const blob = blobOf(layer);
        const sent = blob.length === 0 ? Buffer.alloc(1024) : blob;
        assert.deepEqual(seen.layer, sent);
        assert.equal(seen.size, sent.length);
        assert.deepEqual(seen.ancestry, vector.ancestry.slice(vector.chain.length - 1 - index));
      }
    }

    async function checkLowered(vector: ManifestVector): Promise<void> {
      const { repo, tag } = vector.schema1;
      assert.equal(await client.v1Tag(repo, tag), vector.tagTarget);
      assert.equal((await client.v1Tags(repo))[tag], vector.tagTarget);
      const listed = await client.v1Images(repo);
      for (const [index, expected] of (vector.v1 as SizedVector[]).entries()) {
        assert.ok(listed.includes(expected.id), `${expected.id} is not in the list`);
        const seen = await client.v1Image(expected.id);
        assert.equal(seen.json.toString(), fromBase64(expected.json).toString());
        const size = expected.size ?? EMPTY_GZIP.length;
        assert.equal(seen.size, size);
        assert.equal(seen.layer.length, size);
        assert.deepEqual(seen.ancestry, vector.ancestry.slice(vector.v1.length - 1 - index));
        const { v1Body, blobDigest } = vector.layers[index] ?? {};
        if (v1Body === 'blob') assert.equal(sha256(seen.layer), blobDigest);
        else if (v1Body === 'tar') assert.equal(sha256(seen.layer), expected.diffID);
        else assert.deepEqual(seen.layer, EMPTY_GZIP);
      }
      const manifest = await client.manifest(repo, tag, vector.manifestMediaType);
      assert.deepEqual(manifest.body, fromBase64(vector.manifest.base64));
    }

    async function checkSchema1({ repo, tag, payload }: V2ToV1Vector['schema1']): Promise<void> {
      const agent = 'docker/1.7.0 go/go1.4.2 os/linux arch/amd64';
      const answer = await client.manifest(repo, tag, undefined, agent);
      assert.equal(header(answer.headers, 'content-type'), SCHEMA1, answer.body.toString());
      assert.equal(payloadOf(answer.body).toString(), fromBase64(payload.base64).toString());
      assert.equal(header(answer.headers, 'docker-content-digest'), payload.digest);
      const again = await client.manifest(repo, payload.digest, undefined, agent);
      assert.deepEqual(again.body, answer.body, 'by digest');
      const { fsLayers } = jsonOf<{ fsLayers: { blobSum: string }[] }>(answer);
      for (const { blobSum } of fsLayers) {
        await client.expect(200, 'HEAD', `/v2/${repo}/blobs/${blobSum}`);
      }
    }

    async function checkSchema1In(vector: Schema1InVector): Promise<void> {
      const { repo, tag, payload, schema2, oci } = vector;
      const kept = await client.manifest(repo, tag);
      assert.equal(header(kept.headers, 'docker-content-digest'), payload.digest);
      assert.deepEqual(payloadOf(kept.body), fromBase64(payload.base64));
      if (running === first) assert.deepEqual(kept.body, fromBase64(vector.signed));
      const asked = await client.manifest(repo, tag, DOCKER_1_12);
      assert.equal(header(asked.headers, 'docker-content-digest'), payload.digest);
      for (const [accept, form] of [
        [SCHEMA2, schema2],
        ['*/*', schema2],
        [OCI, oci],
      ] as const) {
        const answer = await client.manifest(repo, tag, accept);
        assert.equal(answer.body.toString(), fromBase64(form.base64).toString(), accept);
        const again = await client.manifest(repo, form.digest, accept);
        assert.deepEqual(again.body, answer.body);
      }
      assert.equal(await client.v1Tag(repo, tag), vector.tagTarget);
      for (const [index, { id, json }] of vector.v1.entries()) {
        const seen = await client.v1Image(id);
        assert.equal(seen.json.toString(), fromBase64(json).toString());
        assert.deepEqual(seen.ancestry, vector.ancestry.slice(vector.v1.length - 1 - index));
      }
    }

    it('refuses every schema 1 manifest that is not rightly signed', async () => {
      const { good, bad } = readVector<{
        good: string;
        bad: { name: string; signed: string }[];
      }>('schema1-bad.json');
      const put = (signed: string) =>
        client.call(
          'PUT',
          '/v2/bad/image/manifests/t',
          { 'content-type': SCHEMA1 },
          fromBase64(signed),
        );
      for (const { name, signed } of bad) {
        const answer = await put(signed);
        assert.equal(answer.status, 400, name);
        assert.match(answer.body.toString(), /MANIFEST_(INVALID|UNVERIFIED)/, name);
      }
      const answer = await put(good);
      assert.doesNotMatch(answer.body.toString(), /MANIFEST_(INVALID|UNVERIFIED)/);
    });

    it('logs no error on the way', () => {
      assert.deepEqual(first.failures, []);
      assert.deepEqual(running.failures, []);
    });
  });
}
