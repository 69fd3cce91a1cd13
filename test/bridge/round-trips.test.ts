import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import {
  BridgeClient,
  type ChainImage,
  OCI,
  SCHEMA2,
  storedBlobs,
} from '../support/bridge-client.ts';
import { jsonOf } from '../support/http-client.ts';
import { ODD_FORMS, type OddManifest, oddChain, oddManifest } from '../support/odd-images.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';

const SEEDS = Array.from({ length: 25 }, (_, n) => n + 1);
const EMPTY_TAR = Buffer.alloc(1024);

interface Body {
  config: { digest: string };
  layers: { digest: string }[];
}

describe('a V1 image of any shape', () => {
  const server = useServer({ storage: 'filesystem' });
  const other = useServer();
  const client = new BridgeClient(() => server.url);
  const elsewhere = new BridgeClient(() => other.url);

  async function expectVerbatim(name: string, tag: string, chain: ChainImage[]): Promise<void> {
    assert.equal(await client.v1Tag(name, tag), chain.at(-1)?.id);
    for (const [n, { id, json, layer }] of chain.entries()) {
      const seen = await client.v1Image(id);
      assert.deepEqual(seen.json, json);
      assert.deepEqual(seen.layer, layer.length === 0 ? EMPTY_TAR : layer);
      const below = chain.slice(0, n + 1).map((image) => image.id);
      assert.deepEqual(seen.ancestry, below.reverse());
    }
  }

  for (const seed of SEEDS) {
    it(`comes back over V1 as it was, from V2 as well, and costs nothing twice (seed ${seed})`, async () => {
      const random = new SeededRandom(seed);
      const { chain } = oddChain(random, 1 + random.below(6));
      const name = `odd/chain-${seed}`;
      await client.pushV1(name, 'v1', chain);
      await expectVerbatim(name, 'v1', chain);

      const digest = await client.digestOf(name, 'v1');
      assert.ok(digest, 'it has a V2 form');
      await elsewhere.pushV1('another/name', `seed-${seed}`, chain);
      assert.equal(await elsewhere.digestOf('another/name', `seed-${seed}`), digest);

      // crane tag and skopeo copy: the same manifest under another tag, and in another repository.
      const { body } = await client.manifest(name, 'v1', SCHEMA2);
      const { config, layers } = JSON.parse(body.toString()) as Body;
      const copy = `odd/copy-${seed}`;
      const before = await storedBlobs(server.driver);
      await client.pushManifest(name, 'again', body, SCHEMA2);
      for (const { digest: blob } of [config, ...layers]) {
        const path = `/v2/${copy}/blobs/uploads/?mount=${blob}&from=${name}`;
        await client.expect(201, 'POST', path);
      }
      await client.pushManifest(copy, 'v1', body, SCHEMA2);
      await expectVerbatim(name, 'again', chain);
      await expectVerbatim(copy, 'v1', chain);
      const oci = await client.manifest(copy, 'v1', OCI);
      assert.equal(jsonOf<Body>(oci).config.digest, config.digest);
      assert.equal(oci.headers['content-type'], OCI);

      // And once more from either side.
      for (const { digest: blob } of [config, ...layers]) {
        const { body: bytes } = await client.expect(200, 'GET', `/v2/${name}/blobs/${blob}`);
        await client.pushBlob('odd/pushed-again', bytes);
      }
      for (const { id } of chain) await client.expect(200, 'GET', `/v1/images/${id}/json`);
      await client.tagV1('odd/pushed-again', `seed-${seed}`, chain.at(-1)?.id ?? '');
      assert.equal(await client.digestOf('odd/pushed-again', `seed-${seed}`), digest);
      assert.deepEqual(await storedBlobs(server.driver), before);
    });
  }

  it('has the same V2 layer for the same bytes under another image ID', async () => {
    const { chain } = oddChain(new SeededRandom(400), 3, ['gzip', 'plain']);
    await client.pushV1('odd/ids', 'one', chain);
    const before = await storedBlobs(server.driver);
    let parent: string | undefined;
    const renamed = chain.map(({ layer }, n) => {
      const id = sha256(`renamed ${n}`).slice(7);
      const json = Buffer.from(JSON.stringify({ id, ...(parent && { parent }) }));
      parent = id;
      return { id, json, layer };
    });
    await client.pushV1('odd/ids', 'two', renamed);
    const layersOf = async (tag: string) =>
      jsonOf<Body>(await client.manifest('odd/ids', tag, SCHEMA2)).layers;
    assert.deepEqual(await layersOf('two'), await layersOf('one'));
    // A config and two manifests.
    assert.equal((await storedBlobs(server.driver)).size, before.size + 3);
  });

  it('may have 127 parents', async () => {
    const { chain } = oddChain(new SeededRandom(127), 127, ['gzip', 'plain', 'empty-gzip']);
    const deep = await new V1Client(server.url, '1.5.0').push(
      'odd/deep',
      'v1',
      chain.map(withParent),
    );
    assert.equal(deep.uploaded.length, 127);
    const { images } = await new V1Client(server.url, '0.7.6').pull('odd/deep', 'v1');
    assert.deepEqual(
      images.map(({ layer }) => sha256(layer)),
      chain.map(({ layer }) => sha256(layer)),
    );
    const { layers } = jsonOf<Body>(await client.manifest('odd/deep', 'v1', SCHEMA2));
    assert.equal(layers.length, 127);
  });

  function withParent(image: ChainImage, n: number, chain: ChainImage[]) {
    return { ...image, parent: chain[n - 1]?.id };
  }
});

describe('a V2 image of any shape', () => {
  const server = useServer({ storage: 'filesystem' });
  const client = new BridgeClient(() => server.url);
  const forms = ODD_FORMS.filter((form) => form !== 'zero-bytes');

  async function push(name: string, image: OddManifest): Promise<void> {
    for (const { bytes } of image.layers) await client.pushBlob(name, bytes);
    await client.pushBlob(name, image.config);
    await client.pushManifest(name, 'v1', image.manifest, image.mediaType);
  }

  for (const seed of SEEDS) {
    it(`is pulled over V1, and tagged over V1 it is the very same manifest (seed ${seed})`, async () => {
      const random = new SeededRandom(seed + 1000);
      const image = oddManifest(random, forms);
      const name = `odd/image-${seed}`;
      await push(name, image);
      const digest = sha256(image.manifest);
      const { images, top } = await new V1Client(server.url, '1.5.0').pull(name, 'v1');
      assert.equal(top, sha256(image.config).slice(7));
      assert.equal(images.length, Math.max(1, image.layers.length));
      for (const [n, layer] of image.layers.entries()) {
        expectLayer(images[n]?.layer, layer, n === image.layers.length - 1);
      }
      const before = await storedBlobs(server.driver);
      for (const into of [name, `odd/retagged-${seed}`]) {
        const report = await new V1Client(server.url, '1.5.0').push(into, 'back', images);
        assert.deepEqual(report.uploaded, [], 'an engine uploads nothing');
        assert.equal(await client.digestOf(into, 'back'), digest);
        assert.equal(await client.v1Tag(into, 'back'), top);
      }
      assert.deepEqual(await storedBlobs(server.driver), before);
    });
  }

  /**
   * The very files. The top comes as it lies, where old engines can read that; an image below may stand in other
   * images too, which name another blob with the same tar.
   */
  function expectLayer(
    sent: Buffer | undefined,
    { form, bytes, tar }: OddManifest['layers'][number],
    isTop: boolean,
  ): void {
    assert.ok(sent);
    assert.equal(sha256(sent[0] === 0x1f ? gunzipSync(sent) : sent), sha256(tar), form);
    const isReadable = !['bzip2', 'xz', 'zstd'].includes(form);
    if (isTop && isReadable) assert.equal(sha256(sent), sha256(bytes), form);
  }
});
