import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { LayerDigester } from '../../../storage/bridge/layer-facts.ts';
import { createPayloadHash } from '../../../storage/bridge/payload-checksum.ts';
import { TarSum, type TarSumVersion } from '../../../storage/bridge/tarsum.ts';
import { digestSoFar } from '../../../storage/digest.ts';

type Header = Parameters<ReturnType<typeof pack>['entry']>[0];

const json = Buffer.from(`{"id":"${'a'.repeat(64)}"}`);
const epoch = new Date(0);
const directory: Header = { name: 'd/', type: 'directory', mode: 0o755, mtime: epoch };
const file: Header = { name: 'a', mode: 0o644, mtime: epoch };

async function tarOf(...entries: [Header, string?][]): Promise<Buffer> {
  const archive = pack();
  for (const [header, data] of entries) archive.entry(header, data ?? '');
  archive.finalize();
  const parts: Buffer[] = [];
  for await (const part of archive) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function sumOf(
  tar: Buffer,
  version: TarSumVersion = 'v0',
  step = tar.length || 1,
): string | undefined {
  const sum = new TarSum(version);
  for (let at = 0; at < tar.length; at += step) sum.write(tar.subarray(at, at + step));
  return sum.finish(json);
}

/** The rule, spelled out for entries that are given by their texts. */
function expected(...entries: string[]): string {
  const digests = entries.map((text) => createHash('sha256').update(text).digest('hex')).sort();
  return createHash('sha256').update(json).update(digests.join('')).digest('hex');
}
const rest = (type: string, link = '') =>
  `typeflag${type}linkname${link}unamegnamedevmajor0devminor0`;

describe('tarsum', () => {
  it('is what docker computes, v0, v1 and dev, in chunks of any size', async () => {
    const tar = await tarOf([directory], [file, 'x']);
    for (const step of [1, 100, 511, 512, 513, tar.length]) {
      assert.equal(
        sumOf(tar, 'v0', step),
        'tarsum+sha256:27da324a2859f09e9eeea20390320a063bb5c5562c37bb6dba92fec5173c43e6',
      );
      assert.equal(
        sumOf(tar, 'v1', step),
        'tarsum.v1+sha256:27d58bfb68d9fbc32fec832e809c1624e24de116d4aac93fb937905eeca4cc5e',
      );
      assert.equal(
        sumOf(tar, 'dev', step),
        'tarsum.dev+sha256:27d58bfb68d9fbc32fec832e809c1624e24de116d4aac93fb937905eeca4cc5e',
      );
    }
  });
  it('does not need the blocks that end a tar', async () => {
    const tar = await tarOf([directory], [file, 'x']);
    assert.equal(sumOf(tar.subarray(0, -1024)), sumOf(tar));
    assert.equal(sumOf(tar.subarray(0, -512)), sumOf(tar));
    assert.equal(sumOf(Buffer.alloc(0)), sumOf(Buffer.alloc(1024)));
  });
  it('does not hang on the order of the entries', async () => {
    assert.equal(
      sumOf(await tarOf([file, 'x'], [directory])),
      sumOf(await tarOf([directory], [file, 'x'])),
    );
  });
  it('resolves PAX long names and UTF-8, and counts the link name', async () => {
    const name = `${'long/'.repeat(60)}\u00e9`;
    const tar = await tarOf(
      [{ ...file, name }, 'data'],
      [{ name: 'l', type: 'symlink', linkname: name, mode: 0o777, mtime: epoch }],
    );
    const texts = [
      `name${name}mode420uid0gid0size4mtime0${rest('0')}data`,
      `namelmode511uid0gid0size0mtime0${rest('2', name)}`,
    ];
    assert.equal(sumOf(tar), `tarsum+sha256:${expected(...texts)}`);
  });
  it('resolves GNU long names', async () => {
    const name = 'n'.repeat(150);
    const long = await tarOf([{ name: '././@LongLink', mtime: epoch }, `${name}\0`], [file, 'x']);
    long[156] = 'L'.charCodeAt(0);
    fixChecksum(long.subarray(0, 512));
    assert.equal(
      sumOf(long),
      `tarsum+sha256:${expected(`name${name}mode420uid0gid0size1mtime0${rest('0')}x`)}`,
    );
  });
  it('counts extended attributes from v1 on, sorted by their names', async () => {
    const pax = { 'SCHILY.xattr.user.b': '2', 'SCHILY.xattr.user.a': '1' };
    const tar = await tarOf([{ ...file, pax }, 'x']);
    const head = 'nameamode420uid0gid0size1';
    assert.equal(sumOf(tar), `tarsum+sha256:${expected(`${head}mtime0${rest('0')}x`)}`);
    assert.equal(
      sumOf(tar, 'v1'),
      `tarsum.v1+sha256:${expected(`${head}${rest('0')}user.a1user.b2x`)}`,
    );
  });
  it('leaves the names of owners out as docker since Go 1.10 does', async () => {
    const tar = await tarOf([{ ...file, uname: 'user', gname: 'group' }, 'x']);
    const head = 'nameamode420uid0gid0size1mtime0typeflag0linkname';
    const tail = 'devmajor0devminor0x';
    const named = expected(`${head}unameusergnamegroup${tail}`);
    assert.equal(sumOf(tar), `tarsum+sha256:${named}`);
    const nameless = expected(`${head}unamegname${tail}`);
    assert.equal(sumOf(tar, 'v0-nameless'), `tarsum+sha256:${nameless}`);
  });
  it('keeps what PAX says to the one entry behind it', async () => {
    const tar = await tarOf([{ ...file, name: 'n'.repeat(300) }, 'x'], [file, 'y']);
    const texts = [
      `name${'n'.repeat(300)}mode420uid0gid0size1mtime0${rest('0')}x`,
      `nameamode420uid0gid0size1mtime0${rest('0')}y`,
    ];
    assert.equal(sumOf(tar), `tarsum+sha256:${expected(...texts)}`);
  });
  it('is undefined for what is no tar or was cut short', async () => {
    const tar = await tarOf([file, 'x'.repeat(600)]);
    assert.equal(sumOf(Buffer.from('0123456789'.repeat(100))), undefined);
    for (const length of [100, 512, 700, 512 + 600])
      assert.equal(sumOf(tar.subarray(0, length)), undefined);
    const damaged = Buffer.from(tar);
    damaged[0] = 0x62;
    assert.equal(sumOf(damaged), undefined);
  });
  it('can be fed by a layer digester, which sees the tar of any encoding', async () => {
    const tar = await tarOf([directory], [file, 'x']);
    const sum = new TarSum();
    const digester = new LayerDigester({ onTar: (chunk) => sum.write(chunk) });
    await digester.write(gzipSync(tar));
    await digester.finish();
    assert.equal(sum.finish(json), sumOf(tar));
  });
});

describe('the payload checksum', () => {
  it('covers the JSON, a line feed and the layer as sent', () => {
    const hash = createPayloadHash(json);
    for (let round = 0; round < 10; round++) hash.update('0123456789');
    assert.equal(
      digestSoFar(hash, 'sha256'),
      'sha256:c8738844249f021b50d175de0ea5809becafa4eee075aabf026ef9ac485faa64',
    );
  });
});

function fixChecksum(header: Buffer): void {
  header.write('        ', 148, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}
