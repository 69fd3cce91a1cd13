import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError } from '../../../src/config/findings.ts';
import { loadConfig, parseConfig } from '../../../src/config/load.ts';
import { showConfig } from '../../../src/config/show.ts';
import { packageRoot } from '../../../src/package-root.ts';
import { mistakesIn, read } from '../../support/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'config-'));
after(() => rmSync(folder, { recursive: true }));

const sample = readFileSync(join(packageRoot(), 'config_sample.yml'), 'utf8');

test('the sample is what runs when nothing is said: dev, one process, ./data', () => {
  const { config, warnings } = loadConfig(undefined, {});
  assert.equal(config.source.flavor, 'dev');
  assert.deepEqual(config.http.listen, { kind: 'tcp', host: '0.0.0.0', port: 5000 });
  assert.deepEqual(config.storage.driver, {
    kind: 'filesystem',
    root: './data',
    fsync: true,
  });
  assert.equal(config.storage.delete, true);
  assert.equal(config.workers.count, 1);
  assert.equal(config.log.level, 'debug');
  assert.deepEqual(warnings, []);
});

test('the sample says nothing but the defaults, so that a file without a key behaves like it', () => {
  const { source: _, log: __, protocols: ___, ...said } = read(sample).config;
  const { source: _a, log: _b, protocols: _c, ...silent } = read('dev: {}\n').config;
  assert.deepEqual(said, silent);
});

test("the sample's variables set what they say", () => {
  const { config } = read(sample, {
    REGISTRY_HOST: '127.0.0.1',
    REGISTRY_PORT: '7000',
    STORAGE_PATH: '/srv/x',
    GUNICORN_WORKERS: '7',
    LOGLEVEL: 'error',
    STANDALONE: 'false',
    SEARCH_BACKEND: 'false',
    DEBUG: 'false',
    AUTH_HTPASSWD_PATH: '/etc/htpasswd',
  });
  assert.deepEqual(config.http.listen, { kind: 'tcp', host: '127.0.0.1', port: 7000 });
  assert.equal(config.storage.driver.kind === 'filesystem' && config.storage.driver.root, '/srv/x');
  assert.equal(config.workers.count, 7);
  assert.equal(config.log.level, 'error');
  assert.equal(config.protocols.v1.standalone, false);
  assert.equal(config.protocols.v1.debug, false);
  assert.equal(config.search.enabled, false);
  assert.deepEqual(config.auth.htpasswd, { path: '/etc/htpasswd' });
});

test('prod takes one worker for each processor, and test keeps everything in memory', () => {
  const prod = read(sample, { SETTINGS_FLAVOR: 'prod', STANDALONE: 'true' }).config;
  assert.equal(prod.workers.count, availableParallelism());
  assert.equal(prod.protocols.v1.debug, false);
  const quiet = read(sample, { SETTINGS_FLAVOR: 'test' }).config;
  assert.deepEqual(quiet.storage.driver, { kind: 'memory' });
  assert.equal(quiet.log.level, 'warn');
});

/** The environment of prod, and what it is refused for; undefined when it may start. */
const PRODUCTION: [Record<string, string>, RegExp | undefined][] = [
  [{}, /^- auth everyone could push and delete/],
  [{ STANDALONE: 'true' }, undefined],
  [{ REGISTRY_HOST: '127.0.0.1' }, undefined],
  [{ AUTH_HTPASSWD_PATH: '/nowhere' }, undefined],
  [{ STANDALONE: 'false' }, undefined],
  [{ STANDALONE: 'true', DEBUG: 'true' }, /^- debug must be off in prod/],
];

for (const [environment, refusal] of PRODUCTION) {
  test(`prod with ${JSON.stringify(environment)} ${refusal === undefined ? 'starts' : 'is refused'}`, () => {
    const mistakes = mistakesIn(sample, { SETTINGS_FLAVOR: 'prod', ...environment });
    if (refusal === undefined) assert.deepEqual(mistakes, []);
    else assert.match(mistakes.join('\n'), refusal);
  });
}

test('what must not face users is no reason to refuse commands that work on the store only', () => {
  const prod = { SETTINGS_FLAVOR: 'prod', DEBUG: 'true' };
  assert.throws(() => parseConfig(sample, 'sample', prod), ConfigError);
  assert.equal(parseConfig(sample, 'sample', prod, 'offline').config.source.flavor, 'prod');
  assert.throws(() => parseConfig('dev: {worker: 1}', 'mine', {}, 'offline'), /worker/);
});

test('prod refuses secrets that every user of the host can read, in their files and in its own', () => {
  const htpasswd = join(folder, 'htpasswd');
  writeFileSync(htpasswd, 'a:b\n', { mode: 0o644 });
  const file = join(folder, 'config.yml');
  writeFileSync(file, `prod:\n  http: {secret: shh}\n  auth: {htpasswd: {path: ${htpasswd}}}\n`, {
    mode: 0o644,
  });
  const load = () => loadConfig(file, { SETTINGS_FLAVOR: 'prod' });
  assert.throws(
    load,
    (error) =>
      error instanceof ConfigError &&
      error.findings.length === 2 &&
      /chmod o-r/.test(error.message),
  );
  chmodSync(file, 0o600);
  chmodSync(htpasswd, 0o640);
  assert.doesNotThrow(load);
});

test('prod refuses keys in its store that every user of the host can read', () => {
  const root = join(folder, 'store');
  const record = join(root, 'docker/registry/isthmus/token-key');
  mkdirSync(dirname(record), { recursive: true });
  writeFileSync(record, '{}', { mode: 0o644 });
  const environment = { SETTINGS_FLAVOR: 'prod', STANDALONE: 'true', STORAGE_PATH: root };
  assert.match(mistakesIn(sample, environment).join(), new RegExp(`chmod o-r ${record}`));
  chmodSync(record, 0o600);
  assert.deepEqual(mistakesIn(sample, environment), []);
});

test('finds the file by argument, DOCKER_REGISTRY_CONFIG, REGISTRY_CONFIGURATION_PATH, in this order', () => {
  const file = (name: string) => {
    writeFileSync(join(folder, name), `dev: {issue: ${name}}\n`);
    return join(folder, name);
  };
  const [a, b, c] = [file('a.yml'), file('b.yml'), file('c.yml')];
  const issue = (argument: string | undefined, environment: Record<string, string>) =>
    loadConfig(argument, environment).config.protocols.v1.issue;
  assert.equal(issue(a, { DOCKER_REGISTRY_CONFIG: b }), 'a.yml');
  assert.equal(
    issue(undefined, { DOCKER_REGISTRY_CONFIG: b, REGISTRY_CONFIGURATION_PATH: c }),
    'b.yml',
  );
  assert.equal(issue(undefined, { REGISTRY_CONFIGURATION_PATH: c }), 'c.yml');
  assert.equal(
    loadConfig(undefined, { DOCKER_REGISTRY_CONFIG: 'config_sample.yml' }).config.source.flavor,
    'dev',
  );
  assert.throws(
    () => loadConfig(join(folder, 'none.yml'), {}),
    /the file is missing; name one as argument/,
  );
});

test('shows no secret', () => {
  const text = `dev:
  http: {secret: SECRET1, headers: {Authorization: [SECRET2]}}
  storage: {s3: {bucket: b, region: r, accesskey: SECRET3, secretkey: SECRET4}}
  redis: {addr: "h:1", password: SECRET5}
  proxy: {remoteurl: "https://user:SECRET6@host", username: u, password: SECRET7}
  email_exceptions: {smtp_host: h, smtp_password: SECRET8}
  exceptions: {webhook: "https://h/SECRET0"}
  notifications: {endpoints: [{name: n, url: "http://a", headers: {authorization: [SECRET9]}}]}
`;
  const { config } = read(text);
  const shown = showConfig(config);
  assert.equal(config.source.literalSecrets, true);
  assert.doesNotMatch(shown, /SECRET\d/);
  assert.match(shown, /bucket: b/);
  assert.match(shown, /secret: \(hidden\)/);
});
