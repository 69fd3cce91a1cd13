import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { pour } from '../../storage/pour.ts';

describe('pouring a source into a receiver', () => {
  it('gives all bytes and ends the receiver', async () => {
    const out = new PassThrough();
    const pouring = pour(Readable.from([Buffer.from('a'), Buffer.from('b')]), out);
    assert.equal(Buffer.concat(await out.toArray()).toString(), 'ab');
    await pouring;
  });

  it('closes the source of a receiver that was gone before', async () => {
    const out = new PassThrough();
    out.destroy();
    const source = new Readable({ read() {} });
    await assert.rejects(pour(source, out));
    assert.equal(source.destroyed, true);
  });

  it('closes the source where it does not come to begin', async () => {
    const source = new Readable({ read() {} });
    const begin = () => {
      throw new Error('a header that is none');
    };
    await assert.rejects(pour(source, new PassThrough(), begin), /a header that is none/);
    assert.equal(source.destroyed, true);
  });
});
