import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { request } from '../support/http-client.ts';
import { RegistryProcess, until } from '../support/registry-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'profile-'));
after(() => rmSync(folder, { recursive: true }));

async function start(workers: number, pprof = true) {
  const port = await freePort();
  const registry = await RegistryProcess.start({
    GUNICORN_WORKERS: String(workers),
    TMPDIR: folder,
    REGISTRY_HTTP_DEBUG_ADDR: `127.0.0.1:${port}`,
    REGISTRY_HTTP_DEBUG_PPROF_ENABLED: String(pprof),
  });
  return {
    registry,
    at: (path: string) => request(`http://127.0.0.1:${port}/debug/pprof/${path}`),
  };
}

const made = () => readdirSync(folder).filter((name) => /profile$|snapshot$/.test(name));

describe('/debug/pprof on the debug listener', () => {
  for (const workers of [1, 2]) {
    test(`shows where a process of ${workers} spends its time and what its memory holds`, async () => {
      const { registry, at } = await start(workers);
      const cpu = await at('profile?seconds=0.2');
      assert.equal(cpu.status, 200);
      assert.match(String(cpu.headers['content-disposition']), /\.cpuprofile"$/);
      const { nodes, endTime, startTime } = JSON.parse(cpu.body.toString());
      assert.ok(nodes.length > 1);
      assert.ok(endTime - startTime >= 190_000, `${endTime - startTime} µs`);
      const heap = await at('heap');
      assert.match(String(heap.headers['content-disposition']), /\.heapsnapshot"$/);
      assert.ok(JSON.parse(heap.body.toString()).snapshot.node_count > 1000);
      assert.deepEqual(made(), []);
      await registry.stop();
    });
  }

  test('profiles the worker that is named, one profile at a time, in a file for no other user', async () => {
    const { registry, at } = await start(2);
    const workers = await registry.workers();
    const running = workers.map((pid) => at(`profile?seconds=1&worker=${pid}`));
    await until('both files', () => made().length === 2 || undefined);
    for (const name of made()) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
    const busy = await at(`heap?worker=${workers[0]}`);
    assert.deepEqual([busy.status, busy.body.toString()], [503, 'another profile is being made\n']);
    for (const each of running) assert.equal((await each).status, 200);
    assert.equal((await at('heap?worker=1')).status, 404);
    assert.equal((await at('profile?seconds=soon')).status, 400);
    assert.equal((await at('goroutine')).status, 400);
    await registry.stop();
  });

  test('says that a worker died meanwhile', async () => {
    const { registry, at } = await start(2);
    const [worker] = await registry.workers();
    const running = at(`profile?seconds=30&worker=${worker}`);
    await until('the file', () => made().length === 1 || undefined);
    process.kill(worker ?? 0, 'SIGKILL');
    const { status, body } = await running;
    assert.deepEqual(
      [status, body.toString()],
      [503, 'the worker ended before its profile was made\n'],
    );
    await registry.stop();
    for (const name of made()) rmSync(join(folder, name));
  });

  test('is not there unless it is switched on', async () => {
    const { registry, at } = await start(1, false);
    assert.equal((await at('heap')).status, 404);
    await registry.stop();
  });
});
