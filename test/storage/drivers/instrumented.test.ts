import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { FilesystemDriver } from '../../../storage/drivers/filesystem.ts';
import { instrumented } from '../../../storage/drivers/instrumented.ts';
import { MemoryDriver } from '../../../storage/drivers/memory.ts';
import { describeDriver } from '../../support/driver-suite.ts';

describeDriver('filesystem, instrumented', async () => {
  const root = await mkdtemp(join(tmpdir(), 'isthmus-instrumented-'));
  return {
    driver: instrumented(new FilesystemDriver({ root }), () => ({ begin() {}, end() {} })),
    dispose: () => rm(root, { recursive: true, force: true }),
  };
});

describe('an instrumented driver', () => {
  it('tells each action with its path, and whether it failed', async () => {
    const seen: string[] = [];
    const driver = instrumented(new MemoryDriver(), (action) => ({
      begin: (path) => `${action} ${path}`,
      end: (token, error) => seen.push(error === undefined ? token : `${token} failed`),
    }));
    await driver.put('/a', 'x');
    await driver.get('/a');
    await assert.rejects(driver.get('/missing'));
    await driver.append('/b', 0, Readable.from([Buffer.from('y')]));
    await driver.commit('/b');
    await driver.stat('/b');
    (await driver.read('/b')).destroy();
    for await (const _ of driver.list('/'));
    await driver.move('/b', '/c');
    await driver.delete('/c');
    assert.deepEqual(seen, [
      'PutContent /a',
      'GetContent /a',
      'GetContent /missing failed',
      'Writer /b',
      'Commit /b',
      'Stat /b',
      'Reader /b',
      'List /',
      'Move /b',
      'Delete /c',
    ]);
  });
});
