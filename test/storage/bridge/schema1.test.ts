import assert from 'node:assert/strict';
import { generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { readSigned, SigningKey } from '../../../storage/bridge/jws.ts';
import type { LayerFacts } from '../../../storage/bridge/layer-facts.ts';
import { hasNoV2View, liftChain, v2Layer } from '../../../storage/bridge/lift.ts';
import { lowerImage, topImageId } from '../../../storage/bridge/lower.ts';
import { liftSchema1, readSchema1, type Schema1 } from '../../../storage/bridge/schema1.ts';
import { schema1OfChain, schema1OfImage } from '../../../storage/bridge/schema1-views.ts';
import { type Digest, digestOf } from '../../../storage/digest.ts';
import { hasCode } from '../../../storage/errors.ts';
import type { V1ImageId } from '../../../storage/names.ts';
import {
  fromBase64,
  type LayerVector,
  readLayers,
  readVector,
  readVectors,
  type Schema1InVector,
  type Schema1Vector,
  type V1ToV2Vector,
  type V2ToV1Vector,
} from '../../support/bridge-vectors.ts';

const layers = readLayers();

function storedLayer(digestOrName: string) {
  const layer = layers.get(digestOrName);
  if (layer === undefined) return undefined;
  const facts: LayerFacts = {
    encoding: layer.encoding as LayerFacts['encoding'],
    diffId: layer.diffID as Digest,
    diffSize: layer.diffSize,
    rules: 1,
  };
  return { digest: layer.blobDigest as Digest, size: layer.blobSize, facts };
}

function stored(digestOrName: string) {
  const layer = storedLayer(digestOrName);
  assert.ok(layer);
  return layer;
}

function idsOf(payload: Buffer): string[] {
  return readSchema1(payload).entries.map(
    ({ v1Compatibility }) => (JSON.parse(v1Compatibility.toString()) as { id: string }).id,
  );
}

function checkPayload(payload: Buffer, vector: Schema1Vector): void {
  assert.equal(payload.toString(), fromBase64(vector.payload.base64).toString());
  assert.equal(digestOf(payload), vector.payload.digest);
  assert.deepEqual(readSigned(fromBase64(vector.signedExample)), payload);
  if (vector.idsTopFirst) assert.deepEqual(idsOf(payload), vector.idsTopFirst);
}

const v2ToV1 = readVectors<V2ToV1Vector>('v2v1-');
const v1ToV2 = readVectors<V1ToV2Vector>('v1v2-');

describe('schema1 going out, golden vectors', () => {
  for (const [file, vector] of v2ToV1) {
    it(`${file}: the payload of a V2 image to the byte`, () => {
      const { repo: name, tag } = vector.schema1;
      const list = vector.layers.map(({ blobDigest }) => stored(blobDigest));
      const v2Layers = list.map((layer) => v2Layer(layer, layer.facts));
      checkPayload(
        schema1OfImage({ name, tag }, fromBase64(vector.config.base64), v2Layers),
        vector.schema1,
      );
    });
  }
  for (const [file, vector] of v1ToV2) {
    it(`${file}: the payload of a V1 chain to the byte`, () => {
      const { repo: name, tag } = vector.schema1;
      const chain = vector.chain.map(({ id, json, layer }) => {
        const { facts, ...blob } = stored(layer);
        return { id: id as V1ImageId, json: fromBase64(json), layer: blob, facts };
      });
      const image = liftChain(chain);
      assert.ok(!hasNoV2View(image));
      checkPayload(schema1OfChain({ name, tag }, chain, image), vector.schema1);
    });
  }
});

describe('schema1 coming in, golden vectors', () => {
  for (const [file, vector] of readVectors<Schema1InVector>('schema1-in-')) {
    const payload = readSigned(fromBase64(vector.signed));
    it(`${file}: the payload, its name and its layers`, () => {
      assert.deepEqual(payload, fromBase64(vector.payload.base64));
      assert.equal(digestOf(payload), vector.payload.digest);
      const { name, tag, entries } = readSchema1(payload);
      assert.deepEqual([name, tag], [vector.repo, vector.tag]);
      assert.deepEqual(
        entries.map(({ blobSum }) => blobSum).reverse(),
        vector.layersBaseFirst.map(({ blobDigest }) => blobDigest),
      );
    });
    it(`${file}: config, schema2, OCI and V1 views to the byte`, () => {
      const image = liftSchema1(readSchema1(payload), storedLayer);
      assert.ok(!hasNoV2View(image));
      for (const view of ['config', 'schema2', 'oci'] as const) {
        assert.equal(
          image[view].bytes.toString(),
          fromBase64(vector[view].base64).toString(),
          view,
        );
        assert.equal(image[view].descriptor.digest, vector[view].digest);
      }
      const diffIds = image.layers.map(({ diffId }) => diffId);
      const parts = JSON.parse(image.schema2.bytes.toString());
      const images = lowerImage(parts, image.config.bytes, diffIds);
      assert.deepEqual(
        images.map(({ id, json }) => [id, json.toString()]),
        vector.v1.map(({ id, json }) => [id, fromBase64(json).toString()]),
      );
      assert.deepEqual(images.map(({ id }) => id).reverse(), vector.ancestry);
      assert.equal(topImageId(image.config.descriptor.digest), vector.tagTarget);
    });
  }
});

describe('signatures', () => {
  const vectors = readVector<{
    good: string;
    bad: { name: string; failsAt: string; signed: string }[];
  }>('schema1-bad.json');
  const keyVector = readVector<{ private: JsonWebKey; public: JsonWebKey & { kid: string } }>(
    'key.json',
  );
  const key = SigningKey.fromJwk(keyVector.private);
  const refused = (error: unknown) =>
    hasCode(error, 'MANIFEST_INVALID') || hasCode(error, 'MANIFEST_UNVERIFIED');

  it('hold on the good document', () => {
    assert.equal(readSchema1(readSigned(fromBase64(vectors.good))).name, 'team/bad');
  });
  for (const { name, signed } of vectors.bad) {
    it(`do not hold: ${name}`, () => assert.throws(() => readSigned(fromBase64(signed)), refused));
  }
  const examples = [...v2ToV1, ...v1ToV2].map(([file, { schema1 }]) => [file, schema1] as const);
  for (const [file, { payload, signedExample }] of examples) {
    it(`${file}: a document signed here equals the example but for signature and time`, () => {
      const document = key.sign(fromBase64(payload.base64), new Date('2026-11-21T07:03:13Z'));
      const masked = (text: string) =>
        text.replace(/"(signature|protected)": "[^"]*"/g, '"$1": ""');
      assert.equal(masked(document.toString()), masked(fromBase64(signedExample).toString()));
      const protectedOf = (text: string) => {
        const written = /"protected": "([^"]*)"/.exec(text)?.[1] ?? '';
        return Buffer.from(written, 'base64url')
          .toString()
          .replace(/"time":"[^"]*"/, '');
      };
      assert.equal(
        protectedOf(document.toString()),
        protectedOf(fromBase64(signedExample).toString()),
      );
      assert.deepEqual(readSigned(document), fromBase64(payload.base64));
    });
  }
  it('name their key as libtrust does, and a key survives being kept', () => {
    assert.equal(key.id, keyVector.public.kid);
    const fresh = SigningKey.generate();
    assert.equal(SigningKey.fromJwk(fresh.toJwk()).id, fresh.id);
    assert.notEqual(SigningKey.generate().id, fresh.id);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    assert.throws(() => SigningKey.fromJwk(privateKey.export({ format: 'jwk' })), /P-256/);
  });

  const payload = Buffer.from('{\n   "a": 1\n}');
  const protectedHeader = (fields: object) =>
    Buffer.from(JSON.stringify(fields)).toString('base64url');
  const good = protectedHeader({ formatLength: payload.length - 2, formatTail: 'Cn0' });
  const blockOf = (
    pair: { privateKey: KeyObject; publicKey: KeyObject },
    alg: string,
    hash: string,
    header: object = { jwk: pair.publicKey.export({ format: 'jwk' }) },
  ) => {
    const input = Buffer.from(`${good}.${payload.toString('base64url')}`);
    const signature = sign(hash, input, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
    return {
      header: { ...header, alg },
      signature: signature.toString('base64url'),
      protected: good,
    };
  };
  const documentOf = (...signatures: unknown[]) =>
    Buffer.concat([
      payload.subarray(0, -2),
      Buffer.from(`,\n   "signatures": ${JSON.stringify(signatures)}\n}`),
    ]);
  const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
  const [p256, p384, rsa] = [
    ec('P-256'),
    ec('P-384'),
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ];

  it('hold with every algorithm that fits the key, and all of several must hold', () => {
    const blocks = [
      blockOf(p256, 'ES256', 'sha256'),
      blockOf(p384, 'ES384', 'sha384'),
      blockOf(ec('P-521'), 'ES512', 'sha512'),
      blockOf(rsa, 'RS256', 'sha256'),
      blockOf(rsa, 'RS512', 'sha512'),
    ];
    assert.deepEqual(readSigned(documentOf(...blocks)), payload);
    const broken = { ...blocks[1], signature: blocks[0]?.signature };
    assert.throws(() => readSigned(documentOf(blocks[0], broken)), refused);
  });
  it('do not hold with an algorithm that does not fit the key', () => {
    for (const block of [
      blockOf(p256, 'ES384', 'sha384'),
      blockOf(p384, 'ES256', 'sha256'),
      blockOf(rsa, 'ES256', 'sha256'),
      blockOf(rsa, 'constructor', 'sha256'),
      blockOf(p256, '', 'sha256'),
    ]) {
      assert.throws(() => readSigned(documentOf(block)), refused, block.header.alg);
    }
  });
  it('do not hold without a key, or with a secret as a key', () => {
    for (const header of [
      {},
      { x5c: [] },
      { x5c: ['AAAA'] },
      { jwk: null },
      { jwk: { kty: 'oct', k: 'AAAA' } },
    ]) {
      assert.throws(
        () => readSigned(documentOf(blockOf(p256, 'ES256', 'sha256', header))),
        refused,
      );
    }
  });
  it('are base64url to the letter', () => {
    const block = blockOf(p256, 'ES256', 'sha256');
    for (const signature of [
      `${block.signature}AAA`,
      `${block.signature}==`,
      `${block.signature} `,
      1,
    ]) {
      assert.throws(
        () => readSigned(documentOf({ ...block, signature })),
        /signature must be base64url/,
      );
    }
  });
  it('must be there, cover one payload, and be few', () => {
    const block = blockOf(p256, 'ES256', 'sha256');
    const other = { ...block, protected: protectedHeader({ formatLength: 1, formatTail: 'fQ' }) };
    assert.throws(() => readSigned(documentOf()), /no signatures/);
    assert.throws(() => readSigned(documentOf(block, other)), /different payloads/);
    assert.throws(() => readSigned(documentOf(...Array(33).fill(block))), /more than 32/);
    assert.throws(() => readSigned(Buffer.from('[]')), refused);
    assert.throws(() => readSigned(Buffer.from('{"signatures":[null]}')), refused);
    assert.throws(() => readSigned(Buffer.from('not JSON')), refused);
  });
});

describe('what is no schema1', () => {
  const entry = { blobSum: digestOf('x') };
  const cases: object[] = [
    [],
    {},
    { schemaVersion: 2, fsLayers: [entry], history: [{ v1Compatibility: '{}' }] },
    { schemaVersion: 1, fsLayers: [], history: [] },
    { schemaVersion: 1, fsLayers: [entry], history: [] },
    {
      schemaVersion: 1,
      fsLayers: [{ blobSum: 'tarsum+sha256:x' }],
      history: [{ v1Compatibility: '{}' }],
    },
    { schemaVersion: 1, fsLayers: [entry], history: [{ v1Compatibility: {} }] },
  ];
  for (const value of cases) {
    it(`is refused: ${JSON.stringify(value)}`, () =>
      assert.throws(
        () => readSchema1(Buffer.from(JSON.stringify(value))),
        (error: unknown) => hasCode(error, 'MANIFEST_INVALID'),
      ));
  }
});

describe('schema1 without other views', () => {
  const id = (letter: string) => letter.repeat(64);
  const blobSum = (layers.get('L0') as LayerVector).blobDigest as Digest;
  const schema1Of = (...topFirst: object[]): Schema1 => ({
    name: 'a/b',
    tag: 't',
    architecture: 'amd64',
    entries: topFirst.map((json) => ({
      blobSum,
      v1Compatibility: Buffer.from(JSON.stringify(json)),
    })),
  });
  const cases: [name: string, reason: string | undefined, schema1: Schema1][] = [
    ['a good chain', undefined, schema1Of({ id: id('b'), parent: id('a') }, { id: id('a') })],
    [
      'an ID twice in a row',
      undefined,
      schema1Of({ id: id('b'), parent: id('a') }, { id: id('a') }, { id: id('a') }),
    ],
    [
      'an ID twice, not in a row',
      'broken-chain',
      schema1Of(
        { id: id('a'), parent: id('b') },
        { id: id('b'), parent: id('a') },
        { id: id('a') },
      ),
    ],
    [
      'another parent',
      'broken-chain',
      schema1Of({ id: id('b'), parent: id('c') }, { id: id('a') }),
    ],
    ['a base with a parent', 'broken-chain', schema1Of({ id: id('a'), parent: id('b') })],
    ['an ID that is none', 'broken-chain', schema1Of({ id: 'a' })],
    ['JSON that docker cannot hold', 'bad-json', schema1Of({ id: id('a'), created: 1 })],
    [
      'a blob that is not stored',
      'bad-layer',
      {
        ...schema1Of(),
        entries: [{ blobSum: digestOf('x'), v1Compatibility: Buffer.from(`{"id":"${id('a')}"}`) }],
      },
    ],
  ];
  for (const [name, reason, schema1] of cases) {
    it(`${name}: ${reason ?? 'fine'}`, () => {
      const result = liftSchema1(schema1, storedLayer);
      assert.equal(hasNoV2View(result) ? result.reason : undefined, reason);
    });
  }
  it('the older of two entries with one ID gives layer and history', () => {
    const schema1 = schema1Of({ id: id('a'), comment: 'newer' }, { id: id('a'), comment: 'older' });
    const image = liftSchema1(schema1, storedLayer);
    assert.ok(!hasNoV2View(image));
    assert.equal(image.layers.length, 1);
    assert.match(image.config.bytes.toString(), /"comment":"older"/);
    assert.doesNotMatch(image.config.bytes.toString(), /newer/);
  });
});

describe('the effective config', () => {
  const l0 = stored('L0');
  const layer = v2Layer(l0, l0.facts);
  const topOf = (config: object, count = 1) => {
    const rootfs = { type: 'layers', diff_ids: Array(count).fill(layer.diffId) };
    const payload = schema1OfImage(
      { name: 'a', tag: '' },
      Buffer.from(JSON.stringify({ ...config, rootfs })),
      Array(count).fill(layer),
    );
    const { entries } = readSchema1(payload);
    return {
      entries,
      top: JSON.parse(entries[0]?.v1Compatibility.toString() ?? '') as Record<string, unknown>,
    };
  };
  const history = [{ created: '2020-01-01T00:00:00Z' }];
  it('has one entry a layer where the history does not fit', () => {
    for (const wrong of [
      undefined,
      [],
      [...history, ...history],
      'x',
      [{ created: 'never' }],
      null,
    ]) {
      assert.equal(topOf({ history: wrong }).entries.length, 1);
      assert.equal(topOf({ history: wrong }, 3).entries.length, 3);
    }
  });
  it('has one empty entry where there are no layers', () => {
    const { entries, top } = topOf({ created: '2020-01-01T00:00:00Z' }, 0);
    assert.equal(entries.length, 1);
    assert.equal(top.throwaway, true);
  });
  it('has neither a stale parent nor an empty time, and keeps os.version', () => {
    const { top } = topOf({ history, parent: 'x', created: '', 'os.version': '10' });
    assert.deepEqual(Object.keys(top), ['id', 'os.version']);
  });
  it('keeps the time that the config has in the entries that it makes up', () => {
    const { entries } = topOf({ created: '2020-01-01T00:00:00.5Z' }, 2);
    assert.match(
      entries[1]?.v1Compatibility.toString() ?? '',
      /"created":"2020-01-01T00:00:00.5Z"/,
    );
    assert.match(
      topOf({}, 2).entries[1]?.v1Compatibility.toString() ?? '',
      /"created":"0001-01-01T00:00:00Z"/,
    );
  });
});
