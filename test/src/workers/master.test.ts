import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { freePort } from '../../support/free-port.ts';
import { request } from '../../support/http-client.ts';
import { RegistryProcess, until } from '../../support/registry-process.ts';
import { sha256 } from '../../support/tar-layer.ts';
import { V2Client } from '../../support/v2-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'master-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Status of a ping, or why there was none. */
function ping(port: number, agent?: Agent): Promise<number | string> {
  return new Promise((resolve) => {
    const outgoing = get({ host: '127.0.0.1', port, path: '/v1/_ping', agent }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode ?? 0));
    });
    outgoing.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

const gone = (pids: number[]) =>
  until(`the end of ${pids.join()}`, () => !pids.some(alive) || undefined);

describe('a master that was killed with -9', { concurrency: 2 }, () => {
  test('leaves the port free at once, and no worker behind, also with connections that are kept alive', async () => {
    const port = String(await freePort());
    const environment = { GUNICORN_WORKERS: '3', REGISTRY_PORT: port };
    const first = await RegistryProcess.start(environment);
    const workers = await until('three workers', async () => {
      const pids = await first.workers();
      return pids.length === 3 ? pids : undefined;
    });
    const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true }));
    for (const agent of agents) assert.equal(await ping(first.port, agent), 200);
    first.signal('SIGKILL');
    const second = await RegistryProcess.start(environment);
    assert.equal(await ping(second.port), 200);
    await gone(workers);
    for (const agent of agents) agent.destroy();
    await second.stop();
  });

  test('has its workers finish the push that they receive, which the next master then serves', async () => {
    const storage = `{filesystem: {rootdirectory: ${mkdtempSync(join(folder, 'push-'))}}}`;
    const port = String(await freePort());
    const environment = { GUNICORN_WORKERS: '2', REGISTRY_PORT: port, REGISTRY_STORAGE: storage };
    const first = await RegistryProcess.start(environment);
    const workers = await first.workers();
    const url = `http://127.0.0.1:${port}`;
    const bytes = Buffer.alloc(300_000, 'x');
    const location = await new V2Client(url).startUpload('team/app');
    const target = new URL(location, url);
    target.searchParams.set('digest', sha256(bytes));
    const outgoing = httpRequest(target, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream', 'content-length': bytes.length },
    });
    const answered = new Promise<number | undefined>((resolve, reject) => {
      outgoing.once('response', (answer) => resolve(answer.resume().statusCode));
      outgoing.once('error', reject);
    });
    outgoing.write(bytes.subarray(0, 100_000));
    await new Promise((resolve) => setTimeout(resolve, 200));
    first.signal('SIGKILL');
    const second = await RegistryProcess.start(environment);
    outgoing.end(bytes.subarray(100_000));
    assert.equal(await answered, 201);
    assert.deepEqual(await new V2Client(url).pullBlob('team/app', sha256(bytes)), bytes);
    await gone(workers);
    await second.stop();
  });
});

describe('HUP with another address', { concurrency: 2 }, () => {
  test('opens it, and closes the old one once all workers are new', async () => {
    const file = join(folder, 'moving.yml');
    const [from, to] = [await freePort(), await freePort()];
    const write = (port: number) =>
      writeFileSync(
        file,
        `test:\n  storage_path: ${folder}/moving\n  workers: 2\n  listen: {host: 127.0.0.1, port: ${port}}\n`,
      );
    write(from);
    const registry = await RegistryProcess.start({ REGISTRY_PORT: '' }, [file]);
    assert.equal(await ping(from), 200);
    write(to);
    registry.signal('SIGHUP');
    await registry.event('configuration reloaded');
    assert.equal(await ping(to), 200);
    assert.equal(await ping(from), 'ECONNREFUSED');
    await registry.stop();
  });

  test('that is in use changes nothing', async () => {
    const file = join(folder, 'staying.yml');
    const [from, taken] = [await freePort(), await freePort()];
    const other = await RegistryProcess.start({ REGISTRY_PORT: String(taken) });
    const write = (port: number) =>
      writeFileSync(
        file,
        `test:\n  storage_path: ${folder}/staying\n  workers: 2\n  listen: {host: 127.0.0.1, port: ${port}}\n`,
      );
    write(from);
    const registry = await RegistryProcess.start({ REGISTRY_PORT: '' }, [file]);
    const before = await registry.workers();
    write(taken);
    registry.signal('SIGHUP');
    const { reason } = await registry.event('configuration not reloaded; the old one stays');
    assert.match(String(reason), /the port is in use/);
    assert.equal(await ping(from), 200);
    assert.deepEqual(await registry.workers(), before);
    await registry.stop();
    await other.stop();
  });

  test('in one process is said to need a start', async () => {
    const file = join(folder, 'single.yml');
    const [from, to] = [await freePort(), await freePort()];
    const write = (port: number) =>
      writeFileSync(
        file,
        `test:\n  storage: inmemory\n  listen: {host: 127.0.0.1, port: ${port}}\n`,
      );
    write(from);
    const registry = await RegistryProcess.start({ REGISTRY_PORT: '' }, [file]);
    write(to);
    registry.signal('SIGHUP');
    await registry.event(
      'a changed address, number of workers or log takes effect with the next start only',
    );
    assert.equal(await ping(from), 200);
    assert.equal(await ping(to), 'ECONNREFUSED');
    await registry.stop();
  });
});

test('what one worker stored is read on every other', async () => {
  const registry = await RegistryProcess.start({ GUNICORN_WORKERS: '4' });
  const url = `http://127.0.0.1:${registry.port}`;
  const bytes = Buffer.alloc(90_000, 'y');
  const client = new V2Client(url);
  // Each request has a connection of its own, and goes to the next worker.
  let location = await client.startUpload('team/app');
  for (let at = 0; at < 60_000; at += 10_000) {
    location = await client.sendChunk(location, at, bytes.subarray(at, at + 10_000));
  }
  await client.finishUpload(location, sha256(bytes), bytes.subarray(60_000));
  for (let round = 0; round < 8; round++) {
    const answer = await request(`${url}/v2/team/app/blobs/${sha256(bytes)}`);
    assert.equal(answer.status, 200);
  }
  const spread = new Set(
    registry.requests().map(({ requestId }) => String(requestId).split('-')[0]),
  );
  assert.ok(spread.size > 1, `all requests went to ${spread.size} worker`);
  await registry.stop();
});
