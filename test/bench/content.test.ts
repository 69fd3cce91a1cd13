import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { blobOf, chunked, sha256, slice } from '../../bench/content.ts';

describe('the content that the benchmark pushes', () => {
  it('is cut into parts that are together what it is', () => {
    const { parts, digest, size } = blobOf(1000);
    const cut = [0, 30, 64, 70, 999].flatMap((start, at, starts) =>
      slice(parts, start, starts[at + 1] ?? size),
    );
    assert.equal(`sha256:${sha256(...cut)}`, digest);
    assert.equal(Buffer.concat(slice(parts, 60, 70)).length, 10);
    assert.equal(slice(parts, 60, 70)[0]?.buffer, parts[0]?.buffer, 'is a copy');
  });

  it('is put into chunks once', () => {
    const parts = [Buffer.from('abc'), Buffer.alloc(32 * 1024, 'd')];
    const body = chunked(parts);
    assert.equal(chunked(parts), body);
    assert.match(body.toString(), /^8000\r\nabcd+\r\n3\r\nddd\r\n0\r\n\r\n$/);
  });
});
