import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { LocalFiles } from '../../../storage/driver.ts';
import { FilesystemDriver } from '../../../storage/drivers/filesystem.ts';
import { PathNotFoundError } from '../../../storage/errors.ts';

const content = randomBytes(3_000_001);

/** Keeps copies, as the buffers that it is given are used again. */
class Receiver extends Writable {
  readonly #chunks: Buffer[] = [];
  readonly #breakAfter: number;

  constructor(breakAfter = Number.POSITIVE_INFINITY) {
    super();
    this.#breakAfter = breakAfter;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#chunks.push(Buffer.from(chunk));
    if (this.bytes.length > this.#breakAfter) this.destroy();
    setImmediate(done);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

describe('sending files', () => {
  let root: string;
  let local: LocalFiles;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'isthmus-send-'));
    const driver = new FilesystemDriver({ root });
    await driver.put('/file', content);
    local = driver.local;
  });
  after(() => rm(root, { recursive: true }));

  const ranges = [
    { start: 0, end: content.length - 1 },
    { start: 0, end: 0 },
    { start: 524_287, end: 524_288 },
    { start: 524_288, end: 1_048_575 },
    { start: 1_000_000, end: content.length - 1 },
    { start: content.length - 1, end: content.length - 1 },
  ];
  for (const attempt of ['from the disk', 'from what was read lately']) {
    for (const range of ranges) {
      it(`gives bytes ${range.start} to ${range.end} in order, ${attempt}`, async () => {
        const receiver = new Receiver();
        let begun = 0;
        await local.send('/file', range, receiver, () => {
          begun += 1;
        });
        assert.ok(receiver.bytes.equals(content.subarray(range.start, range.end + 1)));
        assert.equal(begun, 1);
      });
    }
  }

  it('serves many at a time', async () => {
    const receivers = ranges.map(() => new Receiver());
    await Promise.all(
      receivers.map((receiver, at) =>
        local.send('/file', ranges[at] ?? { start: 0, end: 0 }, receiver, () => {}),
      ),
    );
    for (const [at, receiver] of receivers.entries()) {
      const { start, end } = ranges[at] ?? { start: 0, end: 0 };
      assert.ok(receiver.bytes.equals(content.subarray(start, end + 1)));
    }
  });

  it('fails when the receiver goes away', async () => {
    const whole = { start: 0, end: content.length - 1 };
    await assert.rejects(local.send('/file', whole, new Receiver(600_000), () => {}));
  });

  it('fails when the file is shorter than was said', async () => {
    const tooMuch = { start: content.length - 10, end: content.length + 10 };
    await assert.rejects(
      local.send('/file', tooMuch, new Receiver(), () => {}),
      /shorter/,
    );
  });

  it('begins nothing for a file that is not there', async () => {
    const begin = () => assert.fail('begun');
    const range = { start: 0, end: 1 };
    await assert.rejects(local.send('/none', range, new Receiver(), begin), PathNotFoundError);
  });
});
