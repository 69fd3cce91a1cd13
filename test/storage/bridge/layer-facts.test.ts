import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { deflateRawSync, gzipSync } from 'node:zlib';
import {
  EMPTY_TAR,
  EMPTY_TAR_DIFF_ID,
  EMPTY_TAR_GZIP,
  EMPTY_TAR_GZIP_DIGEST,
} from '../../../storage/bridge/chain-id.ts';
import { decompressed, sniffEncoding } from '../../../storage/bridge/layer-encoding.ts';
import {
  isBadLayer,
  LayerDigester,
  type LayerDigesterOptions,
} from '../../../storage/bridge/layer-facts.ts';
import { digestOf } from '../../../storage/digest.ts';
import {
  fromBase64,
  type LayerVector,
  readLayers,
  readVector,
} from '../../support/bridge-vectors.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const { layers, bad } = readVector<{
  layers: LayerVector[];
  bad: { name: string; blob: string; blobDigest: string }[];
}>('layers.json');

async function digest(blob: Buffer, step = blob.length || 1, options: LayerDigesterOptions = {}) {
  const digester = new LayerDigester(options);
  for (let at = 0; at < blob.length; at += step) await digester.write(blob.subarray(at, at + step));
  return { facts: await digester.finish(), digester };
}

async function readAll(stream: Readable): Promise<Buffer> {
  return Buffer.concat(await stream.toArray());
}

describe('layer facts', () => {
  for (const layer of layers) {
    for (const step of [1, 7, 100_000]) {
      it(`are those of the vector ${layer.name}, fed ${step} bytes at a time`, async () => {
        const { facts, digester } = await digest(fromBase64(layer.blob), step);
        assert.deepEqual(facts, {
          encoding: layer.encoding,
          diffId: layer.diffID,
          diffSize: layer.diffSize,
          rules: 1,
        });
        assert.equal(digester.blobDigest, layer.blobDigest);
        assert.equal(digester.size, layer.blobSize);
      });
    }
  }
  for (const blob of bad) {
    it(`find the vector bad: ${blob.name}`, async () => {
      const { facts, digester } = await digest(fromBase64(blob.blob), 50);
      assert.ok(isBadLayer(facts) && facts.bad.length > 0);
      assert.equal(digester.blobDigest, blob.blobDigest);
    });
  }

  const compressed = layers.filter(
    (layer) => layer.encoding !== 'none' && layer.encoding !== 'gzip',
  );
  for (const layer of compressed) {
    it(`find ${layer.encoding} bad wherever it is cut`, async () => {
      const blob = fromBase64(layer.blob);
      for (let length = 6; length < blob.length; length += 61) {
        const { facts } = await digest(blob.subarray(0, length));
        assert.ok(isBadLayer(facts), `${length} of ${blob.length} bytes`);
      }
      assert.ok(isBadLayer((await digest(blob.subarray(0, -1))).facts));
    });
    it(`find ${layer.encoding} bad, and end, whichever byte is changed`, async () => {
      const random = new SeededRandom(3);
      for (let round = 0; round < 12; round++) {
        const blob = fromBase64(layer.blob);
        const at = 6 + random.below(blob.length - 6);
        blob[at] = (blob[at] as number) ^ (1 << random.below(8));
        const { facts } = await digest(blob);
        // A few bits mean nothing, such as padding; then the tar must still be the same.
        if (!isBadLayer(facts)) assert.equal(facts.diffId, layer.diffID, `byte ${at}`);
      }
    });
    it(`read two ${layer.encoding} streams, one after the other`, async () => {
      const blob = fromBase64(layer.blob);
      const { facts } = await digest(Buffer.concat([blob, blob]), 100);
      assert.equal(isBadLayer(facts) ? facts.bad : facts.diffSize, 2 * layer.diffSize);
    });
  }

  it('pass over what follows the last gzip member and is none', async () => {
    const tar = Buffer.alloc(3000, 'x');
    const { facts } = await digest(Buffer.concat([gzipSync(tar), Buffer.from('\0\0garbage')]));
    assert.deepEqual(facts, { encoding: 'gzip', diffId: digestOf(tar), diffSize: 3000, rules: 1 });
  });
  it('find bzip2 bad whose checksum over all blocks is wrong', async () => {
    const blob = fromBase64((readLayers().get('bz2') as LayerVector).blob);
    const at = blob.length - 3;
    blob[at] = (blob[at] as number) ^ 0x10;
    const { facts } = await digest(blob);
    assert.match(isBadLayer(facts) ? facts.bad : '', /checksum of the stream/);
  });
  it('pass over skippable zstd frames, before and after', async () => {
    const zstd = readLayers().get('zstd') as LayerVector;
    const skippable = Buffer.concat([Buffer.from('532a4d1803000000', 'hex'), Buffer.from('abc')]);
    const { facts } = await digest(Buffer.concat([skippable, fromBase64(zstd.blob), skippable]), 3);
    assert.equal(isBadLayer(facts) ? facts.bad : facts.diffId, zstd.diffID);
  });
  it('find zstd bad whose window would take more than 128 MiB', async () => {
    const frame = Buffer.from('28b52ffd0090010000', 'hex'); // window descriptor 0x90: 256 MiB
    const { facts } = await digest(frame);
    assert.match(isBadLayer(facts) ? facts.bad : '', /window/);
  });
  it('find a blob bad that grows past the limit, without taking more of it', async () => {
    const blob = gzipSync(Buffer.alloc(8_000_000));
    let seen = 0;
    const { facts } = await digest(blob, 1000, {
      maxBytes: 1_000_000,
      onTar: (chunk) => {
        seen += chunk.length;
      },
    });
    assert.match(isBadLayer(facts) ? facts.bad : '', /more than 1000000 bytes/);
    assert.ok(seen <= 1_000_000);
    const inflated = await digest(blob, 1000, { maxRatio: 100 });
    assert.match(isBadLayer(inflated.facts) ? inflated.facts.bad : '', /more than 100 times/);
    assert.ok(!isBadLayer((await digest(blob, 1000, { maxRatio: 2000 })).facts));
  });
  it('show the tar as it passes, and leave the blob digest out when it is not wanted', async () => {
    const hash = createHash('sha256');
    const layer = readLayers().get('xz') as LayerVector;
    const { digester } = await digest(fromBase64(layer.blob), 50, {
      blobDigest: false,
      onTar: (chunk) => hash.update(chunk),
    });
    assert.equal(`sha256:${hash.digest('hex')}`, layer.diffID);
    assert.equal(digester.blobDigest, undefined);
  });
  it('hold a fast writer back, and decode blobs of many chunks whole', async () => {
    const tar = new SeededRandom(5).bytes(3_000_000);
    const blob = gzipSync(tar, { level: 1 });
    const digester = new LayerDigester();
    let held = 0;
    for (let at = 0; at < blob.length; at += 65_536) {
      const wait = digester.write(blob.subarray(at, at + 65_536));
      if (wait !== undefined) held++;
      await wait;
    }
    const facts = await digester.finish();
    assert.equal(isBadLayer(facts) ? facts.bad : facts.diffId, digestOf(tar));
    assert.ok(held > 0 && held < blob.length / 65_536);
  });
  it('leave nothing running after an abort', async () => {
    for (const name of ['L0', 'bz2', 'plain']) {
      const digester = new LayerDigester();
      void digester.write(
        fromBase64((readLayers().get(name) as LayerVector).blob).subarray(0, 100),
      );
      await setImmediate();
      digester.abort();
      assert.ok(isBadLayer(await digester.finish()));
    }
  });
});

describe('the empty tar', () => {
  it('is what the vectors say, byte for byte', () => {
    const layer = readLayers().get('emptygz') as LayerVector;
    assert.deepEqual(EMPTY_TAR_GZIP, fromBase64(layer.blob));
    assert.equal(digestOf(EMPTY_TAR_GZIP), EMPTY_TAR_GZIP_DIGEST);
    assert.equal(digestOf(EMPTY_TAR), EMPTY_TAR_DIFF_ID);
  });
});

describe('sniffing', () => {
  it('wants the whole magic', () => {
    assert.equal(sniffEncoding(Buffer.from('1f8b', 'hex')), 'none');
    assert.equal(sniffEncoding(Buffer.from('1f8b09', 'hex')), 'none');
    assert.equal(sniffEncoding(Buffer.from('502a4d18', 'hex')), 'zstd');
    assert.equal(sniffEncoding(Buffer.from('602a4d18', 'hex')), 'none');
    assert.equal(sniffEncoding(Buffer.alloc(0)), 'none');
  });
});

describe('decompressed', () => {
  for (const layer of layers) {
    it(`gives the plain tar of ${layer.name}`, async () => {
      const blob = fromBase64(layer.blob);
      const source = Readable.from([blob.subarray(0, 20), blob.subarray(20)]);
      const tar = await readAll(decompressed(source, sniffEncoding(blob)));
      assert.equal(digestOf(tar), layer.diffID);
    });
  }
  for (const blob of bad) {
    it(`fails on ${blob.name}`, async () => {
      const bytes = fromBase64(blob.blob);
      await assert.rejects(readAll(decompressed(Readable.from([bytes]), sniffEncoding(bytes))));
    });
  }
  it('fails on more than it may give, in every encoding', async () => {
    for (const name of ['plain', 'L0', 'bz2', 'xz', 'zstd']) {
      const blob = fromBase64((readLayers().get(name) as LayerVector).blob);
      const stream = decompressed(Readable.from([blob]), sniffEncoding(blob), { maxBytes: 10_239 });
      await assert.rejects(readAll(stream), /larger than allowed/);
    }
  });
  it('waits for a slow reader, and ends its worker when the reader leaves', async () => {
    // 4000 bzip2 streams of 10 KiB of tar each are far more than what may be ahead of the reader.
    const blob = fromBase64((readLayers().get('bz2') as LayerVector).blob);
    let taken = 0;
    const source = Readable.from(
      (function* () {
        for (; taken < 4000; taken++) yield blob;
      })(),
      { highWaterMark: 1 },
    );
    const stream = decompressed(source, 'bzip2');
    for await (const chunk of stream) {
      assert.ok(chunk.length > 0);
      await new Promise((resolve) => setTimeout(resolve, 200));
      break;
    }
    assert.ok(taken < 4000, 'the source was read to its end');
    if (!source.closed) await new Promise((resolve) => source.once('close', resolve));
    assert.ok(stream.destroyed);
  });
  it('passes an error of the source on', async () => {
    const source = Readable.from(
      (async function* () {
        yield deflateRawSync('x');
        throw new Error('the disk is gone');
      })(),
    );
    await assert.rejects(readAll(decompressed(source, 'none')), /the disk is gone/);
  });
});
