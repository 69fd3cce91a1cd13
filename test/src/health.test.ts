import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { HealthConfig } from '../../src/config/services.ts';
import { Health, type HealthOptions } from '../../src/health.ts';
import { healthEndpoints, refuseWhenIll } from '../../src/health-endpoints.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import { type RunningServer, serve, serveApp } from '../support/app-server.ts';
import { collectingLog } from '../support/collecting-log.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { jsonOf, request } from '../support/http-client.ts';

const SOON = { timeoutSeconds: 0.5, intervalSeconds: 0.02, threshold: 1 };

describe('health', () => {
  let folder: string;
  let health: Health | undefined;
  const servers: RunningServer[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-health-'));
  });
  afterEach(async () => {
    health?.close();
    for (const each of servers.splice(0)) await each.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function start(
    config: Partial<HealthConfig>,
    driver: StorageDriver = new MemoryDriver(),
    options: HealthOptions = {},
  ): Health {
    const none = { storageIntervalSeconds: undefined, storageThreshold: 1 };
    const all = { ...none, files: [], http: [], tcp: [], ...config };
    health = new Health(all, driver, collectingLog(), options);
    void health.start();
    return health;
  }

  it('turns every registry request into 503 while a file exists, and back', async () => {
    const file = join(folder, 'down');
    const checked = start({ files: [{ file, intervalSeconds: 0.02 }] });
    const server = await serveApp(new MemoryDriver(), {
      guards: [refuseWhenIll(checked)],
      endpoints: [healthEndpoints(checked)],
    });
    servers.push(server);
    assert.equal((await request(`${server.url}/v2/`)).status, 200);
    await writeFile(file, '');
    await eventually(() => checked.ill, 'the failing check');
    const refused = await request(`${server.url}/v2/`);
    assert.equal(refused.status, 503);
    assert.deepEqual(jsonOf(refused), {
      errors: [
        {
          code: 'UNAVAILABLE',
          message: 'service unavailable',
          detail: 'health check failed: please see /debug/health',
        },
      ],
    });
    assert.equal(refused.headers['retry-after'], '10');
    assert.deepEqual(checked.failing, { [file]: 'file exists' });
    assert.equal((await request(`${server.url}/livez`)).status, 200);
    const ready = await request(`${server.url}/readyz`);
    assert.equal(ready.status, 503);
    assert.deepEqual(jsonOf(ready), { [file]: 'file exists' });
    await rm(file);
    await eventually(() => !checked.ill, 'recovery');
    assert.equal((await request(`${server.url}/v2/`)).status, 200);
    assert.equal((await request(`${server.url}/readyz`)).body.toString(), 'ok\n');
    assert.equal((await request(`${server.url}/livez`, { method: 'POST' })).status, 405);
  });

  it('counts failures in a row before it believes them; one success heals', async () => {
    let status = 500;
    let asked = 0;
    const other = await serve((_, response) => {
      asked += 1;
      response.writeHead(status).end();
    });
    servers.push(other);
    const check = { uri: other.url, headers: {}, status: 200, ...SOON, threshold: 5 };
    const checked = start({ http: [check] });
    await eventually(() => asked >= 4, 'four looks');
    assert.equal(checked.ill && asked < 5, false);
    await eventually(() => checked.ill, 'the fifth failure');
    assert.ok(asked >= 5);
    assert.deepEqual(checked.failing, {
      [other.url]: 'downstream service returned unexpected status: 500',
    });
    status = 200;
    await eventually(() => !checked.ill, 'recovery');
  });

  it('tells a server that hangs from one that refuses connections', async () => {
    const hanging = await serve(() => {});
    servers.push(hanging);
    const port = await freePort();
    const checked = start({
      http: [{ uri: hanging.url, headers: {}, status: 200, ...SOON, timeoutSeconds: 0.1 }],
      tcp: [{ address: `127.0.0.1:${port}`, ...SOON }],
    });
    await eventually(() => Object.keys(checked.failing).length === 2, 'both failures');
    assert.match(checked.failing[hanging.url] ?? '', /timeout/);
    assert.match(checked.failing[`127.0.0.1:${port}`] ?? '', /failed: .*ECONNREFUSED/);
    const listener = createServer().listen(port, '127.0.0.1');
    await eventually(() => !(`127.0.0.1:${port}` in checked.failing), 'the port');
    listener.close();
  });

  it('looks at the storage at its interval', async () => {
    const driver = new MemoryDriver();
    const stat = driver.stat.bind(driver);
    let broken = true;
    driver.stat = (path) => (broken ? Promise.reject(new Error('I/O error')) : stat(path));
    const checked = start({ storageIntervalSeconds: 0.02 }, driver);
    await eventually(() => checked.ill, 'the failure');
    assert.deepEqual(checked.failing, { storagedriver_memory: 'I/O error' });
    broken = false;
    await eventually(() => !checked.ill, 'recovery');
  });

  it('asks the storage for /readyz even when no check is configured', async () => {
    const driver = new MemoryDriver();
    driver.stat = () => Promise.reject(new Error('I/O error'));
    assert.deepEqual(await start({}, driver).readiness(), { storage: 'I/O error' });
  });

  it('tells that the storage takes no writes, without refusing pulls', async () => {
    const driver = new MemoryDriver();
    driver.put = () => Promise.reject(new Error('disk full'));
    const checked = start({ storageIntervalSeconds: 1 }, driver);
    await eventually(() => checked.unwritable, 'the probe');
    assert.equal(checked.unwritable, 'disk full');
    assert.equal(checked.ill, false);
  });

  it('says at start that the storage takes no writes, with a fix, whatever is configured', async () => {
    const driver = new MemoryDriver();
    driver.put = () => Promise.reject(Object.assign(new Error('EACCES'), { code: 'EACCES' }));
    const log = collectingLog();
    const none = { storageIntervalSeconds: undefined, storageThreshold: 1 };
    health = new Health({ ...none, files: [], http: [], tcp: [] }, driver, log);
    await health.start();
    const [line] = log.lines;
    assert.equal(line?.event, 'the storage takes no writes');
    assert.match(String(line?.fields.fix), /chown -R/);
    assert.equal(health.ill, false);
  });

  it('writes nothing to a registry that is read-only, and leaves nothing behind elsewhere', async () => {
    const driver = new MemoryDriver();
    const written: string[] = [];
    const put = driver.put.bind(driver);
    driver.put = (path, ...rest) => {
      written.push(path);
      return put(path, ...rest);
    };
    start({ storageIntervalSeconds: 1 }, driver, { readOnly: true }).close();
    assert.deepEqual(written, []);
    const checked = start({ storageIntervalSeconds: 1 }, driver);
    await eventually(() => written.length === 1, 'the probe');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(checked.unwritable, undefined);
    await assert.rejects(driver.stat(written[0] ?? ''), /nothing is stored/);
  });
});
