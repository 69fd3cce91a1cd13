import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { backlogs, DeadLetters, rememberEndpoint } from '../../../src/events/dead-letters.ts';
import { endpointKey, SegmentNamer } from '../../../src/events/layout.ts';
import { FilesystemDriver } from '../../../storage/drivers/filesystem.ts';

const MAIN = fileURLToPath(new URL('../../../src/main.js', import.meta.url));
const run = promisify(execFile);

describe('isthmus events', () => {
  let folder: string;
  let config: string;
  let driver: FilesystemDriver;
  const events = (...words: string[]) => run(process.execPath, [MAIN, 'events', ...words, config]);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-events-command-'));
    config = join(folder, 'config.yml');
    await writeFile(
      config,
      `version: 0.1\nstorage: { filesystem: { rootdirectory: ${folder}/store } }\n`,
    );
    driver = new FilesystemDriver({ root: `${folder}/store` });
    const namer = new SegmentNamer();
    for (const name of ['ci', 'scanner']) {
      await rememberEndpoint(driver, name);
      const dead = new DeadLetters(endpointKey(name), driver, 100);
      const lines = ['1', '2', '3'].map((id) => JSON.stringify({ id: `${name}-${id}` }));
      await dead.add(namer.next(3), lines, 'the endpoint answered 422');
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('lists what waits and what was given up', async () => {
    const { stdout } = await events('list');
    assert.equal(stdout, 'ci: 0 waiting; 3 dead letters\nscanner: 0 waiting; 3 dead letters\n');
  });

  it('shows dead letters as lines of JSON', async () => {
    const { stdout } = await events('show', '--endpoint', 'ci', '--id', 'ci-2');
    const { endpoint, reason, event } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual(
      { endpoint, reason, event },
      { endpoint: 'ci', reason: 'the endpoint answered 422', event: { id: 'ci-2' } },
    );
  });

  it('queues chosen events again, then the rest', async () => {
    assert.equal(
      (await events('replay', '--id', 'ci-1', '--id', 'scanner-3')).stdout,
      '2 events queued again\n',
    );
    const numbers = async () =>
      (await backlogs(driver)).map(({ name, pending, dead }) => ({ name, pending, dead }));
    assert.deepEqual(await numbers(), [
      { name: 'ci', pending: 1, dead: 2 },
      { name: 'scanner', pending: 1, dead: 2 },
    ]);
    await events('replay', '--endpoint', 'ci');
    assert.deepEqual(await numbers(), [
      { name: 'ci', pending: 3, dead: 0 },
      { name: 'scanner', pending: 1, dead: 2 },
    ]);
  });

  it('says what it knows when the endpoint is unknown, and how it is used', async () => {
    await assert.rejects(events('list', '--endpoint', 'cii'), /known: ci, scanner/);
    await assert.rejects(events('lost'), /list, show or replay/);
  });
});
