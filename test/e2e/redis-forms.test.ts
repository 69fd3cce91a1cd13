import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { RedisCache } from '../../src/redis-cache.ts';
import { collectingLog } from '../support/collecting-log.ts';
import { flavor } from '../support/config.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type CertificateFiles, makeCertificate } from '../support/self-signed.ts';
import { run, tool } from './support/command.ts';
import { Workspace } from './support/workspace.ts';

const PATIENCE_MS = 30_000;

describe('a Redis', { timeout: 180_000 }, () => {
  let work: Workspace;
  let files: CertificateFiles;

  before(async () => {
    work = await Workspace.create();
    files = makeCertificate(work.path);
  });
  after(() => work.end());

  /** Debian's redis-server with these options, in a folder of its own. */
  async function start(port: number, ...options: string[]): Promise<ChildProcess> {
    const folder = await work.folder(`redis-${port}`);
    const common = ['--bind', '127.0.0.1', '--save', '', '--dir', folder];
    const child = spawn(tool('redis-server'), [...options, ...common], { stdio: 'ignore' });
    work.keep({
      async stop() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      },
    });
    return child;
  }

  const ask = async (port: number, ...words: string[]) =>
    (await run('redis-cli', ['-p', String(port), '--no-auth-warning', ...words])).toString().trim();

  /** The cache that these settings give. */
  async function open(
    context: TestContext,
    redis: string,
  ): Promise<{ cache: RedisCache; log: ReturnType<typeof collectingLog> }> {
    const { config } = flavor(
      `redis: ${redis}\nstorage: {inmemory: {}, cache: {blobdescriptor: redis}}`,
    );
    const log = collectingLog();
    assert.ok(config.redis);
    const cache = await RedisCache.open(config.redis, log);
    context.after(() => cache.close());
    return { cache, log };
  }

  /** Keeps a value, and waits until it is there. */
  async function assertKeeps(cache: RedisCache, key = 'key'): Promise<void> {
    await eventually(
      async () => {
        cache.set(key, 'value', 60);
        return (await cache.get(key))?.toString() === 'value';
      },
      'the value',
      PATIENCE_MS,
    );
  }

  describe('over TLS', () => {
    let port: number;

    before(async () => {
      port = await freePort();
      const tls = ['--tls-cert-file', files.certificate, '--tls-key-file', files.key];
      const more = ['--tls-ca-cert-file', files.certificate, '--requirepass', 'secret'];
      await start(port, '--port', '0', '--tls-port', String(port), ...tls, ...more);
    });

    it('is used with a certificate of our own, when its own is of a CA that we know', async (context) => {
      const { certificate, key } = files;
      const tls = `{certificate: "${certificate}", key: "${key}", rootcas: ["${certificate}"]}`;
      const { cache } = await open(
        context,
        `{addr: "127.0.0.1:${port}", password: secret, tls: ${tls}}`,
      );
      await assertKeeps(cache);
    });

    it('is left alone when nobody whom we know has signed its certificate', async (context) => {
      const { certificate, key } = files;
      const tls = `{certificate: "${certificate}", key: "${key}"}`;
      const { cache, log } = await open(
        context,
        `{addr: "127.0.0.1:${port}", password: secret, tls: ${tls}}`,
      );
      const away = await eventually(
        () => log.lines.find(({ event }) => /Redis is away/.test(event)),
        'the warning',
      );
      assert.match(String(away.fields.reason), /self-signed certificate/);
      assert.equal(await cache.get('key'), undefined);
    });

    it('is not spoken to in the clear', async (context) => {
      const { cache, log } = await open(context, `{addr: "127.0.0.1:${port}", password: secret}`);
      await eventually(
        () => log.lines.some(({ event }) => /Redis is away/.test(event)),
        'the warning',
      );
      assert.equal(await cache.get('key'), undefined);
    });
  });

  it('is found by its sentinels, and its successor when it dies', async (context) => {
    const [first, second, sentinel] = [await freePort(), await freePort(), await freePort()];
    const password = ['--requirepass', 'secret', '--masterauth', 'secret'];
    const master = await start(first, '--port', String(first), ...password);
    await start(
      second,
      '--port',
      String(second),
      ...password,
      '--replicaof',
      '127.0.0.1',
      String(first),
    );
    const file = join(await work.folder('sentinel'), 'sentinel.conf');
    const lines = [
      `port ${sentinel}`,
      'requirepass watcher',
      `sentinel monitor cache 127.0.0.1 ${first} 1`,
      'sentinel auth-pass cache secret',
      'sentinel down-after-milliseconds cache 500',
      'sentinel failover-timeout cache 2000',
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    await eventually(
      async () =>
        /slave0:/.test(await ask(first, '-a', 'secret', 'info', 'replication').catch(() => '')),
      'the replica',
      PATIENCE_MS,
    );
    await start(sentinel, file, '--sentinel');
    const { cache } = await open(
      context,
      `{addrs: ["127.0.0.1:${sentinel}"], mastername: cache, password: secret, sentinelpassword: watcher}`,
    );
    await assertKeeps(cache);
    assert.equal(await ask(first, '-a', 'secret', 'get', 'key'), 'value');
    await eventually(
      async () =>
        /slave0/.test(await ask(sentinel, '-a', 'watcher', 'info', 'sentinel')) ||
        /slaves=1/.test(await ask(sentinel, '-a', 'watcher', 'info', 'sentinel')),
      'a sentinel that knows the replica',
      PATIENCE_MS,
    );
    master.kill('SIGKILL');
    await assertKeeps(cache, 'later');
    assert.equal(await ask(second, '-a', 'secret', 'get', 'later'), 'value');
  });

  it('may be a cluster', async (context) => {
    const ports = [await freePort(), await freePort(), await freePort()];
    for (const port of ports) {
      const bus = ['--cluster-port', String(await freePort()), '--cluster-enabled', 'yes'];
      await start(port, '--port', String(port), ...bus, '--appendonly', 'no');
    }
    for (const port of ports) {
      await eventually(async () => (await ask(port, 'ping').catch(() => '')) === 'PONG', 'a node');
    }
    const nodes = ports.map((port) => `127.0.0.1:${port}`);
    await run('redis-cli', ['--cluster', 'create', ...nodes, '--cluster-yes'], { timeout: 60_000 });
    const { cache } = await open(context, `{addrs: ${JSON.stringify(nodes)}}`);
    // The keys lie on different nodes.
    for (const key of ['a', 'b', 'c', 'd', 'e']) await assertKeeps(cache, key);
    const counts = await Promise.all(ports.map(async (port) => Number(await ask(port, 'dbsize'))));
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      5,
    );
    assert.ok(counts.filter((count) => count > 0).length > 1);
  });
});
