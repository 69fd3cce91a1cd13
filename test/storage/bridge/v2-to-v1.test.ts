import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chainIds, nextChainId } from '../../../storage/bridge/chain-id.ts';
import { savedImages } from '../../../storage/bridge/docker-save.ts';
import type { LayerFacts } from '../../../storage/bridge/layer-facts.ts';
import {
  hasNoV1View,
  type ImageParts,
  lowerImage,
  proveDiffIds,
  topImageId,
  v1Body,
} from '../../../storage/bridge/lower.ts';
import { type Digest, digestOf } from '../../../storage/digest.ts';
import {
  DOCKER_CONFIG,
  DOCKER_LAYER_FOREIGN,
  DOCKER_LAYER_GZIP,
} from '../../../storage/media-types.ts';
import {
  fromBase64,
  type LayerVector,
  readLayers,
  readVectors,
  type V2ToV1Vector,
} from '../../support/bridge-vectors.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const layers = readLayers();

function factsOf(digest: Digest): LayerFacts | undefined {
  const layer = layers.get(digest);
  return (
    layer && {
      encoding: layer.encoding as LayerFacts['encoding'],
      diffId: layer.diffID as Digest,
      diffSize: layer.diffSize,
      rules: 1,
    }
  );
}

describe('V2 to V1, golden vectors', () => {
  for (const [file, vector] of readVectors<V2ToV1Vector>('v2v1-')) {
    const config = fromBase64(vector.config.base64);
    const parts = JSON.parse(fromBase64(vector.manifest.base64).toString()) as ImageParts;

    it(`${file}: the chain, its JSON to the byte, and what the tag points at`, () => {
      const diffIds = proveDiffIds(parts, config, factsOf);
      assert.ok(!hasNoV1View(diffIds));
      assert.deepEqual(
        diffIds,
        vector.layers.map((layer) => layer.diffID),
      );
      const images = lowerImage(parts, config, diffIds);
      const seen = images.map(({ id, parent, json, diffId, chainId }) => ({
        id,
        parent,
        json: json.toString(),
        diffId,
        chainId,
      }));
      const expected = vector.v1.map(({ id, parent, json, diffID, chainID }) => ({
        id,
        parent,
        json: fromBase64(json).toString(),
        diffId: diffID,
        chainId: chainID,
      }));
      assert.deepEqual(seen, expected);
      assert.deepEqual(images.map(({ id }) => id).reverse(), vector.ancestry);
      assert.equal(topImageId(parts.config.digest), vector.tagTarget);
      assert.deepEqual(
        images.flatMap(({ layer }) => layer?.digest ?? []),
        vector.layers.map((layer) => layer.blobDigest),
      );
    });
    it(`${file}: the form and size of each layer's body`, () => {
      for (const { blobDigest, v1Body: form, v1Size } of vector.layers) {
        const layer = layers.get(blobDigest) as LayerVector;
        assert.deepEqual(v1Body(layer.blobSize, factsOf(blobDigest as Digest) as LayerFacts), {
          form,
          size: v1Size,
        });
      }
    });
    if (vector.dockerSave) {
      it(`${file}: the directories of docker save`, () => {
        const saved = savedImages(
          config,
          vector.layers.map((layer) => layer.diffID as Digest),
        );
        assert.deepEqual(
          saved.map(({ id, json }) => [id, json.toString()]),
          vector.dockerSave?.map(({ id, json }) => [id, fromBase64(json).toString()]),
        );
      });
    }
  }
});

describe('what is not bridgeable', () => {
  const layer = {
    mediaType: DOCKER_LAYER_GZIP,
    digest: (layers.get('L0') as LayerVector).blobDigest as Digest,
    size: 1,
  };
  const diffId = (layers.get('L0') as LayerVector).diffID;
  const configOf = (rootfs: unknown) => Buffer.from(JSON.stringify({ rootfs }));
  const good = configOf({ type: 'layers', diff_ids: [diffId] });
  const partsOf = (
    config: Buffer,
    mediaType = DOCKER_CONFIG,
    ...list: ImageParts['layers']
  ): ImageParts => ({
    config: { mediaType, digest: digestOf(config), size: config.length },
    layers: list.length === 0 ? [layer] : list,
  });
  const other = digestOf('not stored');
  const cases: [name: string, reason: string | undefined, config: Buffer, parts?: ImageParts][] = [
    ['a good image', undefined, good],
    [
      'a config of another type',
      'artifact',
      good,
      partsOf(good, 'application/vnd.cncf.helm.config.v1+json'),
    ],
    ['a config that is no JSON', 'bad-config', Buffer.from('{')],
    ['a config that is no object', 'bad-config', Buffer.from('[]')],
    ['a config that is null', 'bad-config', Buffer.from('null')],
    ['no rootfs', 'bad-config', Buffer.from('{}')],
    ['another rootfs.type', 'bad-config', configOf({ type: 'layers+base', diff_ids: [diffId] })],
    ['diff IDs that are no strings', 'bad-config', configOf({ type: 'layers', diff_ids: [1] })],
    ['too many diff IDs', 'bad-config', configOf({ type: 'layers', diff_ids: [diffId, diffId] })],
    [
      "another image's diff ID",
      'diffid-mismatch',
      configOf({ type: 'layers', diff_ids: [digestOf('x')] }),
    ],
    [
      'a diff ID that is no digest',
      'diffid-mismatch',
      configOf({ type: 'layers', diff_ids: ['x'] }),
    ],
    [
      'a layer that is not stored',
      'bad-layer',
      good,
      partsOf(good, DOCKER_CONFIG, { ...layer, digest: other }),
    ],
    [
      'a foreign layer that is not stored',
      'foreign-layer',
      good,
      partsOf(good, DOCKER_CONFIG, { ...layer, digest: other, mediaType: DOCKER_LAYER_FOREIGN }),
    ],
    [
      'a foreign layer that is stored',
      undefined,
      good,
      partsOf(good, DOCKER_CONFIG, { ...layer, mediaType: DOCKER_LAYER_FOREIGN }),
    ],
  ];
  for (const [name, reason, config, parts = partsOf(config)] of cases) {
    it(`${name}: ${reason ?? 'fine'}`, () => {
      const result = proveDiffIds(parts, config, factsOf);
      assert.equal(hasNoV1View(result) ? result.reason : undefined, reason);
    });
  }
  it('a layer that does not decompress: bad-layer', () => {
    const result = proveDiffIds(partsOf(good), good, () => ({
      encoding: 'gzip',
      bad: 'unexpected end of file',
      rules: 1,
    }));
    assert.deepEqual(result, {
      reason: 'bad-layer',
      detail: `${layer.digest}: unexpected end of file`,
    });
  });
});

describe('the top JSON', () => {
  const top = (config: string, ...diffIds: Digest[]) => {
    const bytes = Buffer.from(config);
    const descriptor = { mediaType: DOCKER_CONFIG, digest: digestOf('c'), size: 1 };
    const json =
      lowerImage({ config: descriptor, layers: [] }, bytes, diffIds).at(-1)?.json.toString() ?? '';
    return JSON.parse(json) as Record<string, unknown>;
  };
  const id = digestOf('c').slice(7);
  it('drops what V1 does not know and what old engines refuse', () => {
    const config =
      '{"id":"stale","parent":"stale","created":"","os.version":"1","os.features":[],"rootfs":{},"history":[],"x":1}';
    assert.deepEqual(top(config), { id, x: 1 });
    assert.deepEqual(top(config, digestOf('a')), { id, x: 1 });
    assert.deepEqual(top(config, digestOf('a'), digestOf('b')), {
      id,
      parent: digestOf('a').slice(7),
      x: 1,
    });
    assert.deepEqual(top('{"created":null}'), { id });
  });
});

describe('an empty layer body', () => {
  it('goes out as the 1024 zero bytes', () => {
    const zero = layers.get('zero') as LayerVector;
    assert.deepEqual(v1Body(0, factsOf(zero.blobDigest as Digest) as LayerFacts), {
      form: 'empty-tar',
      size: 1024,
    });
  });
});

describe('chain IDs', () => {
  it('depend on every diff ID below and on nothing above', () => {
    const random = new SeededRandom(19);
    for (let round = 0; round < 100; round++) {
      const diffIds = Array.from({ length: 1 + random.below(12) }, () => digestOf(random.bytes(4)));
      const ids = chainIds(diffIds);
      assert.equal(ids[0], diffIds[0]);
      assert.equal(new Set(ids).size, ids.length);
      const cut = random.below(diffIds.length);
      assert.deepEqual(chainIds(diffIds.slice(0, cut)), ids.slice(0, cut));
      assert.equal(nextChainId(ids[cut - 1], diffIds[cut] as Digest), ids[cut]);
      const changed = diffIds.with(cut, digestOf('other'));
      assert.notEqual(chainIds(changed).at(-1), ids.at(-1));
    }
  });
  it('of the same layer twice differ', () => {
    const [first, second] = chainIds([digestOf('a'), digestOf('a')]);
    assert.notEqual(first, second);
    assert.deepEqual(chainIds([]), []);
  });
});
