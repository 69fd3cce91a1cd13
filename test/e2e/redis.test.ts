import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ChildServer, startIsthmus } from '../support/child-server.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { jsonOf, request } from '../support/http-client.ts';
import { makeV1Chain, makeV2Image } from '../support/images.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { run, tool } from './support/command.ts';
import { Workspace } from './support/workspace.ts';

/** Debian's redis-server on a port of 127.0.0.1, which keeps nothing on disk. */
class RedisServer {
  readonly port: number;
  #child: ChildProcess | undefined;

  constructor(port: number) {
    this.port = port;
  }

  async start(): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', ''];
    this.#child = spawn(tool('redis-server'), [...options, '--requirepass', 'secret'], {
      stdio: 'ignore',
    });
    await eventually(
      () =>
        new Promise<boolean>((resolve) => {
          const socket = connect(this.port, '127.0.0.1');
          socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
          socket.once('connect', () => socket.destroy());
        }),
      'redis-server',
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  async ask(...command: string[]): Promise<string> {
    const args = ['-p', String(this.port), '-a', 'secret', '--no-auth-warning', ...command];
    return (await run('redis-cli', args)).toString().trim();
  }
}

describe('with a real Redis', { timeout: 120_000 }, () => {
  let work: Workspace;
  let redis: RedisServer;
  const image = makeV2Image({ seed: 71, layers: 2 });

  before(async () => {
    work = await Workspace.create();
    redis = work.keep(new RedisServer(await freePort()));
    await redis.start();
  });
  after(() => work.end());

  async function start(name: string, flavor: string): Promise<ChildServer> {
    const config = join(work.path, `${name}.yml`);
    const port = await freePort();
    await writeFile(
      config,
      `prod:
  listen: {host: 127.0.0.1, port: ${port}}
  standalone: true
  workers: 1
  log: {format: json, accesslog: {format: none}}
  redis: {addr: "127.0.0.1:${redis.port}", password: secret}
${flavor}
`,
      { mode: 0o600 },
    );
    return work.keep(
      await startIsthmus({
        storage: await work.folder(name),
        env: { SETTINGS_FLAVOR: 'prod' },
        args: [config],
        port,
      }),
    );
  }

  /** Milliseconds that the slowest of ten manifests takes. */
  async function slowest(server: ChildServer): Promise<number> {
    let worst = 0;
    for (let n = 0; n < 10; n += 1) {
      const begun = Date.now();
      const answer = await request(`${server.url}/v2/a/b/manifests/${image.digest}`);
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.body, image.manifest);
      worst = Math.max(worst, Date.now() - begun);
    }
    return worst;
  }

  it('small blobs are kept in it, believed only when right, and served on when it dies', async () => {
    // No memory of its own, so that every read goes to Redis and beyond.
    const cache = '{blobdescriptor: redis, manifestbytes: 0, blobbytes: 0}';
    const server = await start('blobs', `  storage: {inmemory: {}, cache: ${cache}}`);
    await new V2Client(server.url).pushImage('a/b', 'v1', image);
    const key = `isthmus:blob:${image.digest}`;
    await eventually(async () => {
      await slowest(server);
      return (await redis.ask('exists', key)) === '1';
    }, 'the manifest in Redis');

    await redis.ask('set', key, 'forged');
    await slowest(server);

    redis.signal('SIGSTOP');
    assert.ok((await slowest(server)) < 1000, 'a hanging Redis holds nobody up for long');
    assert.ok((await slowest(server)) < 100, 'and then nobody at all');
    redis.signal('SIGCONT');

    await redis.stop();
    assert.ok((await slowest(server)) < 100);
    await new V2Client(server.url).pushImage('a/c', 'v1', image);
    assert.match(server.output, /Redis is away/);

    await redis.start();
    await eventually(
      async () => {
        await slowest(server);
        return (await redis.ask('exists', key)) === '1';
      },
      'the manifest in Redis again',
      20_000,
    );
    assert.match(server.output, /Redis is back/);
  });

  it('the tags of a mirrored registry are shared by nodes, also when upstream is down', async () => {
    const upstream = work.keep(await startIsthmus({ storage: await work.folder('upstream') }));
    const [base] = makeV1Chain({ seed: 72, layers: 1 });
    assert.ok(base);
    await new V1Client(upstream.url).push('team/app', 'v1', [base]);
    const mirroring = `  mirroring: {source: "${upstream.url}"}`;
    const storage = `  storage: {filesystem: {rootdirectory: "${await work.folder('mirror-')}`;
    const one = await start('mirror-1', `${mirroring}\n${storage}1"}}`);
    const two = await start('mirror-2', `${mirroring}\n${storage}2"}}`);
    const tags = (at: ChildServer) => request(`${at.url}/v1/repositories/team/app/tags`);
    const pulled = await new V1Client(one.url).pull('team/app', 'v1');
    assert.deepEqual(pulled.images[0]?.layer, base.layer);
    await eventually(
      async () => (await redis.ask('keys', 'isthmus:mirror:*')) !== '',
      'the tags in Redis',
    );
    await upstream.stop();
    assert.deepEqual(jsonOf(await tags(two)), { v1: base.id });
    await redis.stop();
    assert.deepEqual(jsonOf(await tags(two)), { v1: base.id });
    assert.equal((await request(`${two.url}/v1/repositories/team/other/tags`)).status, 503);
    assert.deepEqual(
      (await new V1Client(one.url).pull('team/app', 'v1')).images[0]?.layer,
      base.layer,
    );
  });

  it('a registry starts without it, and serves', async () => {
    await redis.stop();
    const server = await start(
      'lonely',
      '  storage: {inmemory: {}, cache: {blobdescriptor: redis}}',
    );
    await new V2Client(server.url).pushImage('a/b', 'v1', image);
    assert.ok((await slowest(server)) < 100);
    await eventually(() => /Redis is away/.test(server.output), 'the warning');
  });
});
