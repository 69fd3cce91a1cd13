import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { checked } from '../../../storage/drivers/checked.ts';
import { FilesystemDriver } from '../../../storage/drivers/filesystem.ts';
import { describeDriver } from '../../support/driver-suite.ts';

async function temporary() {
  const root = await mkdtemp(join(tmpdir(), 'isthmus-driver-'));
  return { root, dispose: () => rm(root, { recursive: true, force: true }) };
}

for (const fsync of [true, false]) {
  describeDriver(`filesystem, fsync ${fsync}`, async () => {
    const { root, dispose } = await temporary();
    return { driver: checked(new FilesystemDriver({ root, fsync })), dispose };
  });
}

it('lets no other user read what is secret, also once it is replaced', async () => {
  const { root, dispose } = await temporary();
  const driver = new FilesystemDriver({ root });
  const modeOf = (path: string) => statSync(join(root, path)).mode & 0o777;
  await driver.put('/open', 'x');
  await driver.put('/key', 'one', { secret: true, condition: 'absent' });
  assert.deepEqual([modeOf('/open') & 0o044, modeOf('/key')], [0o044, 0o600]);
  const unchanged = Buffer.from('one');
  await driver.put('/key', 'two', { secret: true, condition: { unchanged } });
  assert.equal(modeOf('/key'), 0o600);
  await dispose();
});

it('refuses every path that could leave the root', async () => {
  const { root, dispose } = await temporary();
  const driver = checked(new FilesystemDriver({ root: join(root, 'inside') }));
  const escapes = [
    '/../x',
    '/a/../../x',
    'x',
    '',
    '/a//b',
    '/a/./b',
    '/a\0b',
    '/a\\b',
    '/ä',
    '/a/',
    `/${'a'.repeat(256)}`,
  ];
  for (const path of escapes) {
    await assert.rejects(driver.put(path, 'x'), /not a storage path/, path);
    await assert.rejects(driver.get(path), /not a storage path/, path);
  }
  assert.ok(!existsSync(join(root, 'x')));
  await dispose();
});

it('does not list files that were never finished', async () => {
  const { root, dispose } = await temporary();
  const driver = new FilesystemDriver({ root });
  await driver.put('/dir/whole', 'x');
  await writeFile(join(root, 'dir', '.1234.tmp'), 'half');
  await writeFile(join(root, 'dir', 'link.1234.tmp'), 'half');
  const names: string[] = [];
  for await (const name of driver.list('/dir')) names.push(name);
  assert.deepEqual(names, ['whole']);
  await dispose();
});

it('breaks the lock of a writer that died', async () => {
  const { root, dispose } = await temporary();
  const driver = new FilesystemDriver({ root });
  await driver.put('/record', 'before');
  const lock = join(root, 'record.lock.tmp');
  await writeFile(lock, '');
  const { utimes } = await import('node:fs/promises');
  await utimes(lock, new Date(0), new Date(0));
  await driver.put('/record', 'after', { condition: { unchanged: Buffer.from('before') } });
  assert.equal((await driver.get('/record')).toString(), 'after');
  await dispose();
});
