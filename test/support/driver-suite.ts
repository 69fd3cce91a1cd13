import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { StorageDriver } from '../../storage/driver.ts';
import { ConditionFailedError, PathNotFoundError } from '../../storage/errors.ts';

/** The contract of a storage driver, as tests. A driver's own test file is one call of this. */
export function describeDriver(
  name: string,
  create: () => Promise<{ driver: StorageDriver; dispose?: () => Promise<void> }>,
): void {
  describe(`storage driver ${name}`, () => {
    let driver: StorageDriver;
    let dispose: (() => Promise<void>) | undefined;
    let counter = 0;
    const fresh = (suffix = ''): string => {
      counter += 1;
      return `/suite/${counter}${suffix}`;
    };
    const text = async (path: string): Promise<string> => (await driver.get(path)).toString();

    before(async () => {
      ({ driver, dispose } = await create());
    });
    after(async () => {
      await driver.close?.();
      await dispose?.();
    });

    it('gives back what was put', async () => {
      const path = fresh('/a/b');
      const content = randomBytes(1000);
      await driver.put(path, content);
      assert.deepEqual(await driver.get(path), content);
    });

    it('replaces content whole', async () => {
      const path = fresh();
      await driver.put(path, 'a longer text than the next');
      await driver.put(path, 'short');
      assert.equal(await text(path), 'short');
    });

    it('keeps empty content', async () => {
      const path = fresh();
      await driver.put(path, '');
      assert.equal((await driver.get(path)).length, 0);
      assert.equal((await driver.stat(path)).size, 0);
      assert.equal((await consume(await driver.read(path))).length, 0);
    });

    it('says which path is missing', async () => {
      const path = fresh('/none');
      const missing = (error: unknown) => error instanceof PathNotFoundError && error.path === path;
      await assert.rejects(driver.get(path), missing);
      await assert.rejects(driver.stat(path), missing);
      await assert.rejects(driver.read(path), missing);
      await assert.rejects(driver.move(path, fresh()), missing);
      await assert.rejects(driver.commit(path), missing);
    });

    it('lets exactly one of many writers create a path', async () => {
      const path = fresh('/once');
      const attempts = Array.from({ length: 20 }, (_, i) =>
        driver.put(path, `writer ${i}`, { condition: 'absent' }).then(
          () => `writer ${i}`,
          (error: unknown) => {
            assert.ok(error instanceof ConditionFailedError);
            return undefined;
          },
        ),
      );
      const winners = (await Promise.all(attempts)).filter((winner) => winner !== undefined);
      assert.equal(winners.length, 1);
      assert.equal(await text(path), winners[0]);
    });

    it('lets exactly one of many writers change what they all read', async () => {
      const path = fresh('/swap');
      await driver.put(path, 'before');
      const unchanged = await driver.get(path);
      const attempts = Array.from({ length: 10 }, (_, i) =>
        driver.put(path, `after ${i}`, { condition: { unchanged } }).then(
          () => 1,
          (error: unknown) => {
            assert.ok(error instanceof ConditionFailedError);
            return 0;
          },
        ),
      );
      const wins = (await Promise.all(attempts)).reduce((sum: number, won) => sum + won, 0);
      assert.equal(wins, 1);
    });

    it('shows what waits for something only after that, and nothing when that fails', async () => {
      const conditions = [undefined, 'absent' as const];
      for (const [n, condition] of conditions.entries()) {
        const path = `/waiting/${n}`;
        let happen = () => {};
        const after = new Promise<void>((resolve) => {
          happen = resolve;
        });
        const putting = driver.put(path, 'content', { after, ...(condition && { condition }) });
        await new Promise((turn) => setTimeout(turn, 20));
        await assert.rejects(driver.get(path), PathNotFoundError);
        happen();
        await putting;
        assert.equal((await driver.get(path)).toString(), 'content');
        const failing = Promise.reject(new Error('it did not happen'));
        const options = { after: failing, ...(condition && { condition }) };
        await assert.rejects(driver.put(`${path}-lost`, 'content', options), /did not happen/);
        await assert.rejects(driver.get(`${path}-lost`), PathNotFoundError);
      }
    });

    it('refuses to change what is not there', async () => {
      const put = driver.put(fresh(), 'x', { condition: { unchanged: Buffer.from('y') } });
      await assert.rejects(put, ConditionFailedError);
    });

    it('reads ranges, both ends included', async () => {
      const path = fresh();
      const content = randomBytes(300_000);
      await driver.put(path, content);
      for (const [start, end] of [
        [0, 0],
        [0, 299_999],
        [1, 2],
        [299_999, 299_999],
        [65_535, 131_073],
      ] as const) {
        const part = await consume(await driver.read(path, { start, end }));
        assert.deepEqual(part, content.subarray(start, end + 1));
      }
    });

    it('appends at the end and nowhere else', async () => {
      const path = fresh('/upload/data');
      assert.equal(await driver.append(path, 0, Readable.from([Buffer.from('ab')])), 2);
      assert.equal(await driver.append(path, 2, Readable.from([Buffer.from('cd')])), 4);
      await assert.rejects(
        driver.append(path, 2, Readable.from([Buffer.from('x')])),
        ConditionFailedError,
      );
      await assert.rejects(
        driver.append(path, 9, Readable.from([Buffer.from('x')])),
        ConditionFailedError,
      );
      await driver.commit(path);
      assert.equal(await text(path), 'abcd');
    });

    it('appends large content in order and shows each chunk to the tap', async () => {
      const path = fresh();
      const chunks = Array.from({ length: 200 }, () =>
        randomBytes(1 + Math.floor(Math.random() * 99_999)),
      );
      const seen: Buffer[] = [];
      let held = 0;
      const size = await driver.append(path, 0, Readable.from(chunks), (chunk) => {
        seen.push(Buffer.from(chunk));
        if (seen.length % 10 !== 0) return undefined;
        held += 1;
        return new Promise<void>((done) => setImmediate(done));
      });
      const whole = Buffer.concat(chunks);
      assert.equal(size, whole.length);
      assert.ok(held > 0);
      assert.ok(Buffer.concat(seen).equals(whole));
      assert.ok((await consume(await driver.read(path))).equals(whole));
    });

    it('keeps what arrived before the source failed', async () => {
      const path = fresh();
      const source = new Readable({ read() {} });
      const append = driver.append(path, 0, source);
      source.push(Buffer.alloc(100_000, 1));
      setTimeout(() => source.destroy(new Error('cut off')), 20);
      await assert.rejects(append, /cut off/);
      assert.equal((await driver.stat(path)).size, 100_000);
      assert.equal(await driver.append(path, 100_000, Readable.from([Buffer.from('!')])), 100_001);
    });

    it('fails the append when the tap fails', async () => {
      const source = Readable.from([Buffer.from('a'), Buffer.from('b')]);
      const append = driver.append(fresh(), 0, source, () => {
        throw new Error('no more');
      });
      await assert.rejects(append, /no more/);
    });

    it('moves content over what is there', async () => {
      const from = fresh('/from');
      const to = fresh('/deep/to');
      await driver.put(to, 'old');
      await driver.put(from, 'new');
      await driver.move(from, to);
      assert.equal(await text(to), 'new');
      await assert.rejects(driver.get(from), PathNotFoundError);
    });

    it('lists direct children in byte order', async () => {
      const root = fresh('/list');
      for (const child of ['b', 'a/deep/er', 'B', 'a-b', '_x', '1'])
        await driver.put(`${root}/${child}`, 'x');
      assert.deepEqual(await names(driver, root), ['1', 'B', '_x', 'a', 'a-b', 'b']);
      assert.deepEqual(await names(driver, `${root}/nothing`), []);
    });

    it('lists many children', async () => {
      const root = fresh('/many');
      const expected = Array.from({ length: 1200 }, (_, i) => `n${String(i).padStart(4, '0')}`);
      for (const child of expected) await driver.put(`${root}/${child}`, '', { durable: false });
      assert.deepEqual(await names(driver, root), expected);
    });

    it('deletes files and whole directories, but not their neighbours', async () => {
      const root = fresh('/del');
      await driver.put(`${root}/ab/x`, '1');
      await driver.put(`${root}/a/x`, '1');
      await driver.put(`${root}/a/y/z`, '1');
      await driver.delete(`${root}/a`);
      await driver.delete(`${root}/never`);
      assert.deepEqual(await names(driver, root), ['ab']);
      await driver.delete(`${root}/ab/x`);
      await assert.rejects(driver.get(`${root}/ab/x`), PathNotFoundError);
    });

    it('never shows a reader a mixture of two writes', async () => {
      const path = fresh();
      const [ones, twos] = [Buffer.alloc(200_000, 1), Buffer.alloc(200_000, 2)];
      await driver.put(path, ones);
      let writing = true;
      const writer = (async () => {
        for (let i = 0; i < 20; i += 1) await driver.put(path, i % 2 ? ones : twos);
        writing = false;
      })();
      while (writing) {
        const content = await consume(await driver.read(path));
        assert.ok(content.equals(ones) || content.equals(twos));
      }
      await writer;
    });

    it('gives size and time of content', async () => {
      const path = fresh();
      await driver.put(path, 'four');
      const info = await driver.stat(path);
      assert.equal(info.size, 4);
      assert.equal(info.directory, false);
      assert.ok(Math.abs(info.modified - Date.now()) < 60_000);
    });
  });
}

async function names(driver: StorageDriver, path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const name of driver.list(path)) found.push(name);
  return found;
}

async function consume(source: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks);
}
