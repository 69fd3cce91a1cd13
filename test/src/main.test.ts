import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { banner } from '../../src/banner.ts';
import { loadConfig } from '../../src/config/load.ts';
import { RegistryProcess, runProgram } from '../support/registry-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'main-'));
after(() => rmSync(folder, { recursive: true }));
const bin = (name: string) => ({ program: join(import.meta.dirname, `../../src/bin/${name}.js`) });

const bad = join(folder, 'bad.yml');
writeFileSync(bad, 'dev:\n  loglevel: loud\n  workers: none\n');

/** Words, exit code, and what standard output and standard error must hold. */
const CALLS: [string[], number, RegExp, RegExp][] = [
  [['--version'], 0, /^isthmus \d+\.\d+\.\d+\n$/, /^$/],
  [['--help'], 0, /usage: isthmus COMMAND[\s\S]*serve \[CONFIG\]/, /^$/],
  [[], 0, /usage: isthmus COMMAND/, /^$/],
  [['help', 'serve'], 0, /usage: isthmus serve \[CONFIG\]/, /^$/],
  [['config', '--help'], 0, /secrets hidden/, /^$/],
  [['srve'], 1, /^$/, /unknown command "srve"; did you mean "serve"\?/],
  [
    ['serve', '--hlep'],
    1,
    /^$/,
    /unknown option --hlep; did you mean "--help"\?\nusage: isthmus serve/,
  ],
  [['serve', 'a', 'b'], 1, /^$/, /unexpected "b"/],
  [
    ['serve', bad],
    1,
    /^$/,
    /2 mistakes in the configuration .*\n {2}line 2: loglevel: .*\n {2}line 3: workers: /,
  ],
  [['config', bad], 1, /^$/, /2 mistakes/],
  [['config', '/nowhere.yml'], 1, /^$/, /the file is missing/],
  [['config'], 0, /root: \.\/data/, /^$/],
];

for (const [words, code, stdout, stderr] of CALLS) {
  test(`isthmus ${words.map((word) => word.replace(folder, '')).join(' ')} ends with ${code}`, async () => {
    const outcome = await runProgram(words);
    assert.match(outcome.stdout, stdout);
    assert.match(outcome.stderr, stderr);
    assert.equal(outcome.code, code);
  });
}

// Processes mostly wait, so a few run side by side.
describe('the command line', { concurrency: 3 }, () => {
  test('registry wants its configuration named, as distribution does', async () => {
    const outcome = await runProgram(['serve'], {}, bin('registry'));
    assert.equal(outcome.code, 1);
    assert.match(
      outcome.stderr,
      /configuration error: configuration path unspecified\nusage: registry serve CONFIG/,
    );
    assert.match(
      (await runProgram(['--version'], {}, bin('registry'))).stdout,
      /^registry isthmus \d/,
    );
  });

  test('digest prints one line for each file and goes on after one that it can not read', async () => {
    const file = join(folder, 'hello');
    writeFileSync(file, 'hello\n');
    const sum = 'sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03';
    assert.equal((await runProgram([file], {}, bin('digest'))).stdout, `${sum}\t${file}\n`);
    assert.equal(
      (await runProgram([], {}, { ...bin('digest'), input: 'hello\n' })).stdout,
      `${sum}\t-\n`,
    );
    const outcome = await runProgram(
      ['-algorithm', 'sha512', join(folder, 'none'), file],
      {},
      bin('digest'),
    );
    assert.equal(outcome.code, 1);
    assert.match(outcome.stdout, /^sha512:[0-9a-f]{128}\t/);
    assert.match(outcome.stderr, /none: ENOENT/);
    assert.equal((await runProgram(['-a', 'md5'], {}, bin('digest'))).code, 1);
  });

  test('says which port is in use, and how to find who holds it', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const address = holder.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    for (const workers of ['1', '2']) {
      const { code, stderr } = await runProgram(['serve'], {
        SETTINGS_FLAVOR: 'test',
        REGISTRY_PORT: port,
        REGISTRY_STORAGE: `{filesystem: {rootdirectory: ${folder}/in-use}}`,
        GUNICORN_WORKERS: workers,
      });
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(
          `can't listen on 127.0.0.1:${port}: the port is in use; .*ss -ltnp.*REGISTRY_PORT`,
        ),
      );
    }
    holder.close();
  });

  test('a configuration with mistakes starts nothing', async () => {
    const { code, stdout } = await runProgram(['serve', bad], { REGISTRY_PORT: '0' });
    assert.equal(code, 1);
    assert.equal(stdout, '');
  });

  test('tells a program in one line where it listens and where it stores', async () => {
    const registry = await RegistryProcess.start();
    const line = await registry.event('listening');
    assert.equal(line.flavor, 'test');
    assert.match(String(line.storage), /^memory/);
    assert.match(String(line.address), /^127\.0\.0\.1:\d+$/);
    await registry.stop();
  });

  test('tells a person how to push from an old and a new docker', () => {
    const { config } = loadConfig(undefined, { STORAGE_PATH: '/srv/images' });
    const page = banner(config, { kind: 'tcp', host: '0.0.0.0', port: 5001 });
    assert.match(page, /listening +http:\/\/0\.0\.0\.0:5001\n/);
    assert.match(page, /flavor +dev \(.*config_sample\.yml\)\n +storage +\/srv\/images\n/);
    assert.match(page, /docker push localhost:5001\/busybox/);
    assert.match(page, /docker -d --insecure-registry localhost:5001/);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
    test(`ends with code 0 on ${signal}, its log complete`, async () => {
      const registry = await RegistryProcess.start();
      await fetch(`http://127.0.0.1:${registry.port}/v1/`);
      registry.signal(signal);
      const [code] = await registry.exited;
      assert.equal(code, 0);
      assert.equal(registry.log().at(-1)?.event, 'stopped');
      assert.equal(registry.requests().at(-1)?.path, '/v1/');
    });
  }

  test('HUP in one process takes over a changed file, and keeps the old one when the new has mistakes', async () => {
    const file = join(folder, 'live.yml');
    const write = (timeout: string) =>
      writeFileSync(
        file,
        `test:\n  storage: inmemory\n  http: {timeouts: {keepalive: ${timeout}}}\n`,
      );
    write('31s');
    const registry = await RegistryProcess.start({ REGISTRY_HOST: '127.0.0.1' }, [file]);
    const keepAlive = async () => {
      const answer = await fetch(`http://127.0.0.1:${registry.port}/`);
      await answer.arrayBuffer();
      return answer.headers.get('keep-alive');
    };
    assert.equal(await keepAlive(), 'timeout=31');
    write('32s');
    registry.signal('SIGHUP');
    await registry.event('configuration reloaded');
    assert.equal(await keepAlive(), 'timeout=32');
    write('soon');
    registry.signal('SIGHUP');
    const { reason } = await registry.event('configuration not reloaded; the old one stays');
    assert.match(String(reason), /line 3: http.timeouts.keepalive: expected a duration/);
    assert.equal(await keepAlive(), 'timeout=32');
    await registry.stop();
  });

  test('listens on a unix socket, also over one that a killed process left', async () => {
    const socket = join(folder, 'registry.sock');
    const start = () => RegistryProcess.start({ REGISTRY_LISTEN_SOCKET: socket });
    const first = await start();
    first.signal('SIGKILL');
    await first.exited;
    const second = await start();
    assert.equal((await second.event('listening')).address, `unix:${socket}`);
    await second.stop();
  });
});
