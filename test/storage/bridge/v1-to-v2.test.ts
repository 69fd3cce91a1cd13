import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BadLayer, LayerFacts } from '../../../storage/bridge/layer-facts.ts';
import { hasNoV2View, liftChain, type V1ChainLink, v2Layer } from '../../../storage/bridge/lift.ts';
import type { Digest } from '../../../storage/digest.ts';
import { DOCKER_LAYER_GZIP, DOCKER_LAYER_TAR } from '../../../storage/media-types.ts';
import type { V1ImageId } from '../../../storage/names.ts';
import {
  fromBase64,
  type LayerVector,
  readLayers,
  readVectors,
  type V1ToV2Vector,
} from '../../support/bridge-vectors.ts';

const layers = readLayers();

function factsOf(layer: LayerVector): LayerFacts {
  return {
    encoding: layer.encoding as LayerFacts['encoding'],
    diffId: layer.diffID as Digest,
    diffSize: layer.diffSize,
    rules: 1,
  };
}

function linkOf(id: string, json: Buffer, layer = layers.get('L0') as LayerVector): V1ChainLink {
  return {
    id: id as V1ImageId,
    json,
    layer: { digest: layer.blobDigest as Digest, size: layer.blobSize },
    facts: factsOf(layer),
  };
}

describe('V1 to V2, golden vectors', () => {
  for (const [file, vector] of readVectors<V1ToV2Vector>('v1v2-')) {
    it(`${file}: config, schema2 and OCI manifest to the byte`, () => {
      const chain = vector.chain.map(({ id, json, layer }) =>
        linkOf(id, fromBase64(json), layers.get(layer)),
      );
      const image = liftChain(chain);
      assert.ok(!hasNoV2View(image));
      for (const view of ['config', 'schema2', 'oci'] as const) {
        assert.equal(
          image[view].bytes.toString(),
          fromBase64(vector[view].base64).toString(),
          view,
        );
        assert.equal(image[view].descriptor.digest, vector[view].digest);
        assert.equal(image[view].descriptor.size, vector[view].size);
      }
      assert.deepEqual(
        image.layers.map(({ digest, size, diffId }) => [digest, size, diffId]),
        vector.chain.map(({ v2Digest, v2Size, v2DiffID }) => [v2Digest, v2Size, v2DiffID]),
      );
    });
  }
});

describe('the V2 form of a stored layer', () => {
  for (const layer of new Set(layers.values())) {
    it(`${layer.name} (${layer.encoding})`, () => {
      const { digest, size, diffId, gzip } = v2Layer(
        { digest: layer.blobDigest as Digest, size: layer.blobSize },
        factsOf(layer),
      );
      const { v2 } = layer;
      assert.deepEqual(
        [digest, size, diffId, gzip ? DOCKER_LAYER_GZIP : DOCKER_LAYER_TAR],
        [v2.digest, v2.size, v2.diffID, v2.dockerMediaType],
      );
    });
  }
});

describe('chains without a V2 view', () => {
  const [a, b] = ['a'.repeat(64), 'b'.repeat(64)] as [string, string];
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const base = linkOf(a, json({ id: a }));
  const cases: [name: string, reason: string, chain: V1ChainLink[]][] = [
    ['no image at all', 'broken-chain', []],
    ['an id that is not the path', 'broken-chain', [linkOf(a, json({ id: b }))]],
    ['a base with a parent', 'broken-chain', [linkOf(a, json({ id: a, parent: b }))]],
    ['another parent', 'broken-chain', [base, linkOf(b, json({ id: b, parent: b }))]],
    ['a missing parent', 'broken-chain', [base, linkOf(b, json({ id: b }))]],
    ['an image that comes twice', 'broken-chain', [base, linkOf(a, json({ id: a, parent: a }))]],
    ['JSON that is none', 'bad-json', [linkOf(a, Buffer.from('{'))]],
    ['JSON that docker cannot hold', 'bad-json', [linkOf(a, json({ id: a, Size: 1.5 }))]],
    [
      'such JSON below the top',
      'bad-json',
      [linkOf(a, json({ id: a, created: '' })), linkOf(b, json({ id: b, parent: a }))],
    ],
    [
      'a layer that does not decompress',
      'bad-layer',
      [{ ...base, facts: { encoding: 'gzip', bad: 'cut', rules: 1 } satisfies BadLayer }],
    ],
  ];
  for (const [name, reason, chain] of cases) {
    it(`${name}: ${reason}`, () => {
      const result = liftChain(chain);
      assert.equal(hasNoV2View(result) ? result.reason : undefined, reason);
    });
  }
  it('1024 images are lifted, one more is not', () => {
    const id = (index: number) => index.toString(16).padStart(64, '0');
    const chain = Array.from({ length: 1025 }, (_, index) =>
      linkOf(id(index), json({ id: id(index), ...(index > 0 ? { parent: id(index - 1) } : {}) })),
    );
    assert.ok(!hasNoV2View(liftChain(chain.slice(0, 1024))));
    assert.ok(hasNoV2View(liftChain(chain)));
  });
});

describe('the version that decides between raw and typed JSON', () => {
  const id = 'a'.repeat(64);
  const keepsUnknown = (version: unknown, key = 'docker_version') => {
    const image = liftChain([
      linkOf(id, Buffer.from(JSON.stringify({ id, unknown: 1, [key]: version }))),
    ]);
    assert.ok(!hasNoV2View(image));
    return image.config.bytes.includes('unknown');
  };
  for (const version of ['1.8.3', '1.8.3.0', '1.8.10', '1.10.0-rc1', '17.03.0-ce', '2']) {
    it(`${version} keeps unknown keys`, () => assert.ok(keepsUnknown(version)));
  }
  for (const version of ['', 'dev', '1.8.2', '1.8', '1.8.3-rc1', '0.9.1', '1.8.-1', null]) {
    it(`${version} does not`, () => assert.ok(!keepsUnknown(version)));
  }
  it('is read whatever the case of its key', () =>
    assert.ok(keepsUnknown('1.9.1', 'Docker_Version')));
});
