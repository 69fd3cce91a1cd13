import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RegistryProcess, runProgram, until } from '../support/registry-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'workers-'));
after(() => rmSync(folder, { recursive: true }));

/** Asks once; gives whether a whole answer came. */
function ask(port: number, agent: Agent | false = false): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = get(
      { host: '127.0.0.1', port, path: '/v1/_ping', agent, timeout: 3000 },
      (response) => {
        response.resume();
        response.once('end', () => resolve(true));
        response.once('error', () => resolve(false));
      },
    );
    outgoing.once('timeout', () => outgoing.destroy());
    outgoing.once('error', () => resolve(false));
  });
}

/** Asks again and again, in `clients` loops, until stopped; counts what got no answer at once, and at all. */
function load(port: number, clients: number, agent: Agent | false = false) {
  const counts = { answered: 0, retried: 0, lost: 0 };
  let running = true;
  const loop = async () => {
    while (running) {
      await sleep(3);
      let tries = 0;
      while (!(await ask(port, agent)) && tries++ < 5) await sleep(20);
      if (tries === 0) counts.answered += 1;
      else if (tries <= 5) counts.retried += 1;
      else counts.lost += 1;
    }
  };
  const loops = Array.from({ length: clients }, loop);
  return {
    counts,
    stop: async () => {
      running = false;
      await Promise.all(loops);
      return counts;
    },
  };
}

/** How many requests each process answered, by the start of the request IDs. */
function spread(registry: RegistryProcess): number[] {
  const counts = new Map<string, number>();
  for (const { requestId } of registry.requests()) {
    const process = String(requestId).split('-')[0] ?? '';
    counts.set(process, (counts.get(process) ?? 0) + 1);
  }
  return [...counts.values()];
}

// Processes mostly wait, so a few run side by side.
describe('master and workers', { concurrency: 3 }, () => {
  test('connections that are kept alive are spread evenly over workers', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_WORKERS: '3' });
    await until('three workers', async () => (await registry.workers()).length === 3 || undefined);
    await sleep(200);
    const agents = Array.from({ length: 12 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    for (let round = 0; round < 5; round++)
      await Promise.all(agents.map((agent) => ask(registry.port, agent)));
    for (const agent of agents) agent.destroy();
    await until('all lines', () => registry.requests().length === 60 || undefined);
    assert.deepEqual(spread(registry), [20, 20, 20]);
    await registry.stop();
  });

  test('clients that retry lose nothing while workers are killed, and the workers come back', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_WORKERS: '3' });
    const clients = load(registry.port, 6);
    for (let kills = 0; kills < 3; kills++) {
      await sleep(250);
      const workers = await registry.workers();
      const victim = workers[kills % workers.length];
      if (victim !== undefined) process.kill(victim, 'SIGKILL');
    }
    await sleep(250);
    const { answered, lost } = await clients.stop();
    assert.equal(lost, 0);
    assert.ok(answered > 50, `only ${answered} requests were answered`);
    await until('three workers', async () => (await registry.workers()).length === 3 || undefined);
    assert.equal(registry.log().filter(({ event }) => event === 'worker died').length, 3);
    await registry.stop();
  });

  test('a connection waits, and is not refused, while all workers are dead', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_WORKERS: '2' });
    for (const worker of await registry.workers()) process.kill(worker, 'SIGKILL');
    assert.equal(await ask(registry.port), true);
    await registry.stop();
  });

  test('TTIN adds a worker and TTOU removes one, but never the last', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_WORKERS: '2' });
    const count = (wanted: number) =>
      until(
        `${wanted} workers`,
        async () => (await registry.workers()).length === wanted || undefined,
      );
    registry.signal('SIGTTIN');
    await count(3);
    registry.signal('SIGTTOU');
    await count(2);
    registry.signal('SIGTTOU');
    await count(1);
    registry.signal('SIGTTOU');
    await registry.event('the last worker stays; send TERM to stop');
    assert.equal(await ask(registry.port), true);
    await registry.stop();
  });

  test('HUP replaces every worker, follows the file, and drops no request', async () => {
    const file = join(folder, 'live.yml');
    const write = (workers: string) =>
      writeFileSync(file, `test:\n  storage_path: ${folder}/live\n  workers: ${workers}\n`);
    write('2');
    const registry = await RegistryProcess.start({ REGISTRY_HOST: '127.0.0.1' }, [file]);
    const before = await registry.workers();
    const clients = load(registry.port, 4);
    write('3');
    registry.signal('SIGHUP');
    await registry.event('configuration reloaded');
    await until('the new workers', async () => {
      const now = await registry.workers();
      return (now.length === 3 && !now.some((pid) => before.includes(pid))) || undefined;
    });
    write('many');
    registry.signal('SIGHUP');
    const { reason } = await registry.event('configuration not reloaded; the old one stays');
    assert.match(String(reason), /line 3: workers/);
    const { answered, retried, lost } = await clients.stop();
    assert.deepEqual({ retried, lost }, { retried: 0, lost: 0 });
    assert.ok(answered > 50);
    await registry.stop();
  });

  test('max-requests replaces workers without a request being dropped', async () => {
    const registry = await RegistryProcess.start({
      GUNICORN_WORKERS: '2',
      GUNICORN_OPTS: '--max-requests 20 --max-requests-jitter 10',
    });
    const before = await registry.workers();
    const clients = load(registry.port, 4);
    await until('new workers', async () => {
      const now = await registry.workers();
      return !now.some((pid) => before.includes(pid)) || undefined;
    });
    const { retried, lost } = await clients.stop();
    assert.deepEqual({ retried, lost }, { retried: 0, lost: 0 });
    assert.equal(
      registry.log().some(({ event }) => event === 'worker died'),
      false,
    );
    await registry.stop();
  });

  test('a worker that gives no sign of life is killed and replaced', async () => {
    const registry = await RegistryProcess.start({
      GUNICORN_WORKERS: '2',
      GUNICORN_SILENT_TIMEOUT: '2',
    });
    const [first] = await registry.workers();
    assert.ok(first !== undefined);
    process.kill(first, 'SIGSTOP');
    await registry.event('worker killed, it gave no sign of life');
    await until('two workers', async () => {
      const now = await registry.workers();
      return (now.length === 2 && !now.includes(first)) || undefined;
    });
    await registry.stop();
  });

  test('TERM on a worker lets it go and another comes, without a request being dropped', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_WORKERS: '2' });
    const before = await registry.workers();
    const clients = load(registry.port, 4);
    await sleep(100);
    process.kill(before[0] ?? 0, 'SIGTERM');
    await registry.event('worker died');
    await sleep(100);
    const { retried, lost } = await clients.stop();
    assert.deepEqual({ retried, lost }, { retried: 0, lost: 0 });
    await registry.stop();
  });

  test('TERM ends master and workers with code 0', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_WORKERS: '2' });
    const workers = await registry.workers();
    await ask(registry.port);
    registry.signal('SIGTERM');
    const [code] = await registry.exited;
    assert.equal(code, 0);
    for (const pid of workers) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });

  test('USR1 opens log files again after a rotation', async () => {
    const { readFileSync, renameSync } = await import('node:fs');
    const file = join(folder, 'access.log');
    const registry = await RegistryProcess.start({
      GUNICORN_WORKERS: '2',
      GUNICORN_ACCESS_LOG_FILE: file,
      REGISTRY_LOG_ACCESSLOG_FORMAT: 'combined',
    });
    await ask(registry.port);
    await until('the line', () => /_ping/.test(readFileSync(file, 'utf8')) || undefined);
    renameSync(file, `${file}.1`);
    registry.signal('SIGUSR1');
    await until('the new line', async () => {
      await ask(registry.port);
      try {
        return /_ping/.test(readFileSync(file, 'utf8')) || undefined;
      } catch {
        return undefined;
      }
    });
    await registry.stop();
  });

  test('ends with the reason when no worker can start', async () => {
    const file = join(folder, 'tls.yml');
    writeFileSync(
      file,
      'test:\n  workers: 2\n  http: {tls: {certificate: /no.crt, key: /no.key}}\n',
    );
    const outcome = await runProgram(['serve', file], {
      SETTINGS_FLAVOR: 'test',
      REGISTRY_PORT: '0',
    });
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /can't read \/no.crt/);
  });
});
