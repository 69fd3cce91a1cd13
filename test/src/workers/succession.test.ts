import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../support/free-port.ts';
import { request } from '../../support/http-client.ts';
import { makeV2Image } from '../../support/images.ts';
import { RegistryProcess, until } from '../../support/registry-process.ts';
import { V2Client } from '../../support/v2-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'succession-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

/** Successors are no children of the test, so they are ended by the IDs that they tell. */
const successors = new Set<number>();
after(() => {
  for (const pid of successors) if (alive(pid)) process.kill(pid, 'SIGKILL');
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const gone = (pid: number) => until(`the end of ${pid}`, () => !alive(pid) || undefined);

/** Sends USR2 and gives the process ID of the successor, once it serves. */
async function succeed(registry: RegistryProcess): Promise<number> {
  registry.signal('SIGUSR2');
  const { successor } = await registry.event(
    'the successor serves; send TERM to this process, or to it to go back',
  );
  successors.add(Number(successor));
  return Number(successor);
}

/** Pings on new connections until stopped; gives how many were answered, and how many were not. */
function load(port: number) {
  const counts = { answered: 0, failed: 0 };
  let running = true;
  const loops = [1, 2, 3].map(async () => {
    while (running) {
      await sleep(3);
      const answer = await request(`http://127.0.0.1:${port}/v1/_ping`).catch(() => undefined);
      if (answer?.status === 200) counts.answered += 1;
      else counts.failed += 1;
    }
  });
  return async () => {
    running = false;
    await Promise.all(loops);
    return counts;
  };
}

async function start(name: string, workers: number) {
  const pidFile = join(folder, `${name}.pid`);
  const debugPort = await freePort();
  const registry = await RegistryProcess.start({
    GUNICORN_WORKERS: String(workers),
    GUNICORN_OPTS: `--pid ${pidFile}`,
    REGISTRY_STORAGE: `{filesystem: {rootdirectory: ${folder}/${name}}}`,
    REGISTRY_HTTP_DEBUG_ADDR: `127.0.0.1:${debugPort}`,
  });
  const vars = async () =>
    JSON.parse((await request(`http://127.0.0.1:${debugPort}/debug/vars`)).body.toString()) as {
      pid: number;
    };
  return { registry, pidFile, vars, pid: registry.child.pid ?? 0 };
}

const read = (file: string) => Number(readFileSync(file, 'utf8'));

describe('USR2', { concurrency: 2 }, () => {
  for (const workers of [1, 2]) {
    test(`hands the socket of ${workers} to a new program, without a request being dropped`, async () => {
      const { registry, pidFile, pid, vars } = await start(`on-${workers}`, workers);
      assert.equal(read(pidFile), pid);
      const client = new V2Client(`http://127.0.0.1:${registry.port}`);
      const image = makeV2Image({ seed: 9, layers: 1 });
      await client.pushImage('team/app', 'v1', image);
      const stop = load(registry.port);
      const successor = await succeed(registry);
      assert.equal(read(pidFile), successor);
      assert.equal(read(`${pidFile}.oldbin`), pid);
      assert.equal((await vars()).pid, successor);
      registry.signal('SIGTERM');
      await gone(pid);
      assert.equal(existsSync(`${pidFile}.oldbin`), false);
      await sleep(100);
      const { answered, failed } = await stop();
      assert.equal(failed, 0);
      assert.ok(answered > 50, `only ${answered} requests were answered`);
      await client.expectImage('team/app', 'v1', image);
      process.kill(successor, 'SIGTERM');
      await gone(successor);
      assert.equal(existsSync(pidFile), false);
      await registry.exited;
    });
  }

  test('can be taken back, and done again', async () => {
    const { registry, pidFile, pid, vars } = await start('back', 2);
    const stop = load(registry.port);
    const first = await succeed(registry);
    process.kill(first, 'SIGTERM');
    await registry.event('the successor is gone; this process goes on');
    await until(
      'the debug listener',
      async () => (await vars().catch(() => undefined))?.pid === pid || undefined,
    );
    assert.equal(read(pidFile), pid);
    registry.output.stderr = '';
    const second = await succeed(registry);
    assert.notEqual(second, first);
    registry.signal('SIGTERM');
    await gone(pid);
    assert.equal((await stop()).failed, 0);
    process.kill(second, 'SIGTERM');
    await gone(second);
    await registry.exited;
  });

  test('changes nothing when the new program does not start', async () => {
    const file = join(folder, 'broken.yml');
    const text = `test: {storage_path: ${folder}/broken, workers: 2}\n`;
    writeFileSync(file, text);
    const registry = await RegistryProcess.start({ REGISTRY_HOST: '127.0.0.1' }, [file]);
    const workers = await registry.workers();
    writeFileSync(file, 'test: {colour: red}\n');
    registry.signal('SIGUSR2');
    const { outcome } = await registry.event('the successor did not start; this process goes on');
    assert.equal(outcome, 'code 1');
    assert.match(registry.output.stderr, /colour: unknown key/);
    assert.deepEqual(await registry.workers(), workers);
    assert.equal((await request(`http://127.0.0.1:${registry.port}/v1/_ping`)).status, 200);
    await registry.stop();
  });

  test('is refused where nothing can be handed over, with the reason', async () => {
    const memory = await RegistryProcess.start();
    memory.signal('SIGUSR2');
    const refused = await memory.event('no successor is started');
    assert.equal(refused.reason, 'it would not share storage in memory');
    await memory.stop();
    const socket = await RegistryProcess.start({
      GUNICORN_WORKERS: '2',
      REGISTRY_HTTP_ADDR: `unix:${folder}/registry.sock`,
    });
    socket.signal('SIGUSR2');
    const { reason } = await socket.event('no successor is started');
    assert.equal(reason, 'a unix socket goes with the process that made it');
    await socket.stop();
  });
});
