import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startIsthmus } from '../../support/child-server.ts';
import { request } from '../../support/http-client.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { type RanCode, ranCode } from '../../support/work/coverage.ts';

/** Bytes of code that a process reads to serve. */
const BUDGET = 2_000_000;

/** What the master, or the only process, and the workers ran from the start until the first answer. */
async function startAndAsk(
  context: TestContext,
  env: Record<string, string>,
): Promise<{ first: RanCode; workers: RanCode[] }> {
  const folder = temporaryDirectory(context);
  const counts = join(folder, 'counts');
  const server = await startIsthmus({
    storage: join(folder, 'store'),
    env: { NODE_V8_COVERAGE: counts, LOGLEVEL: 'error', ...env },
  });
  context.after(() => server.stop('SIGKILL'));
  assert.equal((await request(`${server.url}/v2/`)).status, 200);
  await server.stop();
  const ran = ranCode(counts);
  const first = ran.find((each) => 'main.js' in each.files());
  assert.ok(first);
  // The last of them may have been told to go before it served.
  const workers = ran.filter(
    (each) => 'entry.cjs' in each.files() && each.calls('createHandler') > 0,
  );
  return { first, workers };
}

describe('until the first answer', { timeout: 60_000 }, () => {
  it('one process reads its configuration once, no YAML, and nothing of TLS', async (context) => {
    const { first, workers } = await startAndAsk(context, {});
    assert.equal(workers.length, 0);
    assert.equal(first.calls('loadConfig'), 1);
    assert.equal(first.calls('parseYaml'), 0);
    assert.equal(first.loaded('node:tls'), false);
    assert.deepEqual(Object.keys(first.files()).sort(), ['main.js', 'programs.cjs']);
    assert.ok(Object.values(first.files()).reduce((sum, each) => sum + each) < BUDGET);
  });

  it('a master comes without what serves, and its workers without reading the configuration', async (context) => {
    const { first, workers } = await startAndAsk(context, { GUNICORN_WORKERS: '2' });
    assert.ok(workers.length > 0);
    assert.equal(first.calls('loadConfig'), 1);
    assert.equal(first.calls('parseYaml'), 0);
    assert.equal(first.loaded('node:http'), false);
    for (const worker of workers) {
      assert.equal(worker.calls('loadConfig'), 0);
      assert.equal(worker.calls('parseTree'), 0);
      assert.equal(worker.loaded('node:tls'), false);
      assert.deepEqual(Object.keys(worker.files()).sort(), ['entry.cjs', 'programs.cjs']);
    }
  });

  it('what does need YAML is parsed by the master alone', async (context) => {
    const catalog = { REGISTRY_CATALOG: '{maxentries: 10}' };
    const { first, workers } = await startAndAsk(context, { GUNICORN_WORKERS: '2', ...catalog });
    assert.equal(first.calls('parseYaml'), 1);
    assert.ok(workers.length > 0);
    for (const worker of workers) assert.equal(worker.calls('parseYaml'), 0);
  });
});
