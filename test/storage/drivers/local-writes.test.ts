import assert from 'node:assert/strict';
import fs, { existsSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, describe, it } from 'node:test';
import { FilesystemDriver } from '../../../storage/drivers/filesystem.ts';
import { ConditionFailedError, PathNotFoundError } from '../../../storage/errors.ts';

describe('what only a local file system can do', () => {
  const root = mkdtempSync(join(tmpdir(), 'isthmus-local-'));
  const driver = new FilesystemDriver({ root });
  const { local } = driver;
  const text = (path: string) => local.get(path)?.toString();
  const inode = (path: string) => statSync(join(root, path)).ino;
  after(() => rmSync(root, { recursive: true }));

  it('puts several at a time, in new directories and over what is there', async () => {
    await driver.put('/all/b', 'old');
    await local.putAll?.([
      { path: '/all/new/deep/a', content: 'a' },
      { path: '/all/b', content: Buffer.from('b') },
      { path: '/all/new/c', content: '' },
    ]);
    assert.deepEqual(['/all/new/deep/a', '/all/b', '/all/new/c'].map(text), ['a', 'b', '']);
    assert.deepEqual(readdirSync(join(root, 'all/new')).sort(), ['c', 'deep']);
  });

  it('shows none of several when one of them cannot be written', async () => {
    await driver.put('/file', 'x');
    const items = ['/some/a', '/file/b', '/some/c'].map((path) => ({ path, content: 'y' }));
    await assert.rejects(async () => local.putAll?.(items));
    assert.deepEqual([text('/some/a'), text('/some/c')], [undefined, undefined]);
    assert.deepEqual(readdirSync(join(root, 'some')), []);
  });

  it('shows the last ones only after the others, and none of them when another fails', async () => {
    const first = ['/turns/a', '/turns/b'].map((path) => ({ path, content: 'first' }));
    const done = local.putAll?.(first, [{ path: '/turns/c', content: 'last' }]);
    const seen = new Set<string>();
    for (let over = false; !over; ) {
      seen.add(['/turns/a', '/turns/b', '/turns/c'].map((path) => text(path) ?? '-').join());
      over =
        (await Promise.race([done, new Promise((turn) => setImmediate(turn, 'turn'))])) !== 'turn';
    }
    assert.ok(seen.has('first,first,-'), [...seen].join(' '));
    assert.equal(text('/turns/c'), 'last');
    await driver.put('/in-the-way', 'x');
    const bad = [{ path: '/in-the-way/a', content: 'y' }];
    await assert.rejects(async () => local.putAll?.(bad, [{ path: '/turns/c', content: 'lost' }]));
    assert.equal(text('/turns/c'), 'last');
    assert.deepEqual(readdirSync(join(root, 'turns')), ['a', 'b', 'c']);
  });

  it('makes one inode of what may be alike, and of nothing else', async () => {
    const content = 'link';
    await local.putAll?.(
      [
        { path: '/alike/a', content, alike: true },
        { path: '/alike/b', content, alike: true },
        { path: '/alike/c', content: 'other', alike: true },
      ],
      [{ path: '/alike/d', content }],
    );
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => inode(`/alike/${name}`));
    assert.equal(a, b);
    assert.equal(new Set([a, c, d]).size, 3);
    assert.deepEqual(['/alike/a', '/alike/b'].map(text), ['link', 'link']);
  });

  it('makes a directory another one, and keeps one file of it', async () => {
    for (const name of ['data', 'startedat', 'lock']) await driver.put(`/from/${name}`, name);
    assert.equal(await local.moveDirectory?.('/from', '/deep/er/to', 'data'), true);
    assert.deepEqual(readdirSync(join(root, 'deep/er/to')), ['data']);
    assert.equal(existsSync(join(root, 'from')), false);
  });

  it('leaves a directory where it is when something lies at its target or another directory in it', async () => {
    await driver.put('/one/data', '1');
    await driver.put('/other/data', '2');
    assert.equal(await local.moveDirectory?.('/one', '/other', 'data'), false);
    await driver.put('/one/sub/file', '3');
    assert.equal(await local.moveDirectory?.('/one', '/nothing', 'data'), false);
    assert.deepEqual(
      [text('/one/data'), text('/one/sub/file'), text('/other/data')],
      ['1', '3', '2'],
    );
  });

  it('repeats what is stored, as written now, and lets each of the two be replaced alone', async () => {
    await driver.put('/kept', 'same');
    utimesSync(join(root, 'kept'), new Date(0), new Date(0));
    assert.equal(await local.repeat?.('/kept', '/again/here'), true);
    assert.equal(inode('/again/here'), inode('/kept'));
    assert.ok(Date.now() - (local.stamp('/again/here')?.modified ?? 0) < 60_000);
    assert.equal(await local.repeat?.('/kept', '/again/here'), false);
    assert.equal(await local.repeat?.('/never', '/again/there'), false);
    await driver.put('/again/here', 'other');
    assert.equal(text('/kept'), 'same');
  });

  it('makes short-lived files of the same content without an inode for each, one for each path', async () => {
    const options = { condition: 'absent', durable: false, shared: true } as const;
    for (const path of ['/s/1', '/s/2']) await driver.put(path, 'token', options);
    assert.equal(inode('/s/1'), inode('/s/2'));
    await assert.rejects(driver.put('/s/1', 'token', options), ConditionFailedError);
    await driver.put('/s/3', 'another', options);
    assert.notEqual(inode('/s/3'), inode('/s/1'));
    await driver.put('/s/1', 'replaced', { durable: false });
    assert.deepEqual(['/s/1', '/s/2', '/s/3'].map(text), ['replaced', 'token', 'another']);
  });

  it('takes nothing for stored that the disk has lost', async (t) => {
    const lost = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    const flush = t.mock.method(fs, 'fdatasync', (_fd: number, done: (error: Error) => void) =>
      setImmediate(done, lost),
    );
    syncBuiltinESMExports();
    try {
      await driver.append('/lost/small', 0, Readable.from([Buffer.from('x')]));
      await assert.rejects(driver.commit('/lost/small'), lost);
      // The second flush of a file whose pages were given up would succeed.
      flush.mock.restore();
      syncBuiltinESMExports();
      await assert.rejects(driver.commit('/lost/small'), PathNotFoundError);
    } finally {
      flush.mock.restore();
      syncBuiltinESMExports();
    }
  });

  it('flushes much of what is large while it comes, and keeps nothing of it when that fails', async (t) => {
    const mebibyte = Buffer.alloc(1024 * 1024, 1);
    const large = () => Readable.from(Array.from({ length: 40 }, () => mebibyte));
    const flush = t.mock.method(fs, 'fdatasync');
    syncBuiltinESMExports();
    try {
      assert.equal(await driver.append('/large/whole', 0, large()), 40 * mebibyte.length);
      assert.ok(flush.mock.callCount() >= 1, `${flush.mock.callCount()} flushes`);
      const lost = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
      flush.mock.mockImplementation(((_fd: number, done: (error: Error) => void) => {
        setImmediate(done, lost);
      }) as typeof fs.fdatasync);
      await assert.rejects(driver.append('/large/lost', 0, large()), lost);
      await assert.rejects(driver.stat('/large/lost'), PathNotFoundError);
    } finally {
      flush.mock.restore();
      syncBuiltinESMExports();
    }
  });

  it('removes what it shared when it ends, and what a killed process shared long ago', async () => {
    const seeds = () => readdirSync(root).filter((name) => name.startsWith('.seed-'));
    const left = `.seed-${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}.tmp`;
    await writeFile(join(root, left), 'token');
    utimesSync(join(root, left), new Date(0), new Date(0));
    const other = new FilesystemDriver({ root });
    await other.put('/s/4', 'x', { condition: 'absent', durable: false, shared: true });
    assert.ok(!seeds().includes(left));
    assert.ok(seeds().length > 0);
    await Promise.all([driver.close(), other.close()]);
    assert.deepEqual(seeds(), []);
    await driver.put('/s/5', 'y', { condition: 'absent', durable: false, shared: true });
    assert.equal(text('/s/5'), 'y');
    await driver.close();
  });
});
