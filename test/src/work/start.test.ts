import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { addRepositories, addTags } from '../../support/work/filled-store.ts';
import { startCounted } from '../../support/work/measured-server.ts';

const REPOSITORIES = 2000;
const TAGS = 200;
/** Calls on files of the store until the first answer. */
const BUDGET = 20;

describe('a start', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'work-'));
  after(() => rmSync(folder, { recursive: true }));

  /** What a start over a store does until its first answer. An earlier one has made what is made once. */
  async function workOfStart(store: string): Promise<Record<string, number>> {
    await (await startCounted(store)).stop();
    const server = await startCounted(store);
    const work = await server.sinceStart();
    await server.stop();
    return Object.fromEntries(Object.entries(work).filter(([kind]) => !kind.endsWith('Bytes')));
  }

  it('does the same over an empty store and a huge one: nothing is walked', async () => {
    const huge = join(folder, 'huge');
    addRepositories(huge, REPOSITORIES);
    addTags(huge, 'many/tags', TAGS);
    const overEmpty = await workOfStart(join(folder, 'empty'));
    assert.deepEqual(await workOfStart(huge), overEmpty);
    const calls = Object.values(overEmpty).reduce((sum, each) => sum + each);
    assert.ok(calls > 0 && calls <= BUDGET, `${calls} calls, may be ${BUDGET}`);
  });
});
