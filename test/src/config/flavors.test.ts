import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flavor, mistakesIn, read, warningsOf } from '../../support/config.ts';

/** A value after `issue: `, the variable X, and what the text must come to. */
const REFERENCES: [string, string | undefined, string][] = [
  ['_env:X', 'hello', 'hello'],
  ['_env:X:fallback', undefined, 'fallback'],
  ['_env:X:a:b:c', undefined, 'a:b:c'],
  ['_env:X:fallback', '"quoted # text"', 'quoted # text'],
  ['_env:X:fallback', 'tail #gone', 'tail'],
  ['_env:X:fallback', '0123', '0123'],
  ['_env:X:fallback', '', '"docker-registry server"'],
  ['_env:X:fallback', '~', '"docker-registry server"'],
  ['_env:X', undefined, '"docker-registry server"'],
  ['plain _env:X', 'hello', 'plain _env:X'],
];

for (const [value, x, expected] of REFERENCES) {
  test(`reads ${value} as ${JSON.stringify(expected)} when X is ${JSON.stringify(x)}`, () => {
    const { config } = flavor(`issue: ${value}`, x === undefined ? {} : { X: x });
    assert.equal(config.protocols.v1.issue, expected);
  });
}

/** YAML 1.1's scalars, which docker-registry's files were written in. */
const SCALARS: [string, string, unknown][] = [
  ['standalone', 'yes', true],
  ['standalone', 'On', true],
  ['standalone', 'off', false],
  ['standalone', 'NO', false],
  ['workers', '012', 10],
  ['workers', '0x10', 16],
  ['workers', '1:30', 90],
  ['workers', '1_0', 10],
];

for (const [key, value, expected] of SCALARS) {
  test(`reads ${key}: ${value} as ${expected}, from the file and from the environment`, () => {
    for (const { config } of [flavor(`${key}: ${value}`), flavor(`${key}: _env:X`, { X: value })]) {
      assert.equal(
        key === 'workers' ? config.workers.count : config.protocols.v1.standalone,
        expected,
      );
    }
  });
}

test('reads a list and a map from one variable, and looks into a default that is a map', () => {
  const origins = flavor('cors: {origins: _env:X}', { X: '[http://a, http://b]' });
  assert.deepEqual(origins.config.cors?.origins, ['http://a', 'http://b']);
  const nested = flavor('listen: \'_env:X:{port: "_env:Y:7000"}\'', { Y: '7001' });
  assert.deepEqual(nested.config.http.listen, { kind: 'tcp', host: '0.0.0.0', port: 7001 });
});

test('leaves _env: in list items alone, as docker-registry did', () => {
  const { config } = flavor('cors: {origins: ["_env:X:a"]}', { X: 'b' });
  assert.deepEqual(config.cors?.origins, ['_env:X:a']);
});

test('merges shallowly, own keys first, through chains of flavors', () => {
  const text = `
common: &common
  issue: common
  cache: {host: a, port: 1}
base: &base
  <<: *common
  issue: base
dev:
  <<: *base
  cache: {host: b}
`;
  const { config } = read(text);
  assert.equal(config.protocols.v1.issue, 'base');
  assert.deepEqual(config.redis?.addresses, ['b:6379']);
});

test('takes the whole document when SETTINGS_FLAVOR is empty', () => {
  assert.equal(read('issue: whole\n', { SETTINGS_FLAVOR: '' }).config.protocols.v1.issue, 'whole');
});

test('a change to one flavor does not leak into another that it was merged from', () => {
  const text = 'common: &c\n  http: {headers: {A: [b]}}\ndev:\n  <<: *c\n';
  const changed = read(text, { GUNICORN_GRACEFUL_TIMEOUT: '5', SETTINGS_FLAVOR: 'dev' });
  assert.equal(changed.config.http.drainSeconds, 5);
  assert.deepEqual(changed.config.http.headers.A, ['b']);
});

/** Written in the form of docker-registry 0.9.1's own sample, with every key that it had. */
const OLD_FILE = `
common: &common
    issue: '"our registry"'
    loglevel: _env:LOGLEVEL:info
    debug: _env:DEBUG:false
    standalone: _env:STANDALONE:true
    index_endpoint: _env:INDEX_ENDPOINT:https://index.example/
    storage_redirect: _env:STORAGE_REDIRECT
    disable_token_auth: _env:DISABLE_TOKEN_AUTH
    privileged_key: _env:PRIVILEGED_KEY
    search_backend: _env:SEARCH_BACKEND
    sqlalchemy_index_database: _env:SQLALCHEMY_INDEX_DATABASE:sqlite:////tmp/index.db
    mirroring:
        source: _env:MIRROR_SOURCE # https://registry.example
        source_index: _env:MIRROR_SOURCE_INDEX
        tags_cache_ttl: _env:MIRROR_TAGS_CACHE_TTL:172800 # seconds
    cache:
        host: _env:CACHE_REDIS_HOST
        port: _env:CACHE_REDIS_PORT
        db: _env:CACHE_REDIS_DB:0
        password: _env:CACHE_REDIS_PASSWORD
    cache_lru:
        host: _env:CACHE_LRU_REDIS_HOST
        port: _env:CACHE_LRU_REDIS_PORT
        db: _env:CACHE_LRU_REDIS_DB:0
        password: _env:CACHE_LRU_REDIS_PASSWORD
    email_exceptions:
        smtp_host: _env:SMTP_HOST
        smtp_port: _env:SMTP_PORT:25
        smtp_login: _env:SMTP_LOGIN
        smtp_password: _env:SMTP_PASSWORD
        smtp_secure: _env:SMTP_SECURE:false
        from_addr: _env:SMTP_FROM_ADDR:a@localdomain.local
        to_addr: _env:SMTP_TO_ADDR:b@localdomain.local
    bugsnag: _env:BUGSNAG
    cors:
        origins: _env:CORS_ORIGINS
        methods: _env:CORS_METHODS
        headers: _env:CORS_HEADERS:[Content-Type]
        expose_headers: _env:CORS_EXPOSE_HEADERS
        supports_credentials: _env:CORS_SUPPORTS_CREDENTIALS
        max_age: _env:CORS_MAX_AGE
        send_wildcard: _env:CORS_SEND_WILDCARD
        always_send: _env:CORS_ALWAYS_SEND
        automatic_options: _env:CORS_AUTOMATIC_OPTIONS
        vary_header: _env:CORS_VARY_HEADER
        resources: _env:CORS_RESOURCES
local: &local
    <<: *common
    storage: local
    storage_path: _env:STORAGE_PATH:/tmp/registry
s3: &s3
    <<: *common
    storage: s3
    s3_region: _env:AWS_REGION
    s3_bucket: _env:AWS_BUCKET
    boto_bucket: _env:AWS_BUCKET
    storage_path: _env:STORAGE_PATH:/registry
    s3_encrypt: _env:AWS_ENCRYPT:true
    s3_secure: _env:AWS_SECURE:true
    s3_access_key: _env:AWS_KEY
    s3_secret_key: _env:AWS_SECRET
    boto_host: _env:AWS_HOST
    boto_port: _env:AWS_PORT
dev: &dev
    <<: *local
    loglevel: _env:LOGLEVEL:debug
    debug: _env:DEBUG:true
    search_backend: _env:SEARCH_BACKEND:sqlalchemy
swift:
    <<: *common
    storage: swift
    swift_container: _env:OS_CONTAINER
prod:
    <<: *s3
    storage_path: _env:STORAGE_PATH:/prod
`;

test("reads docker-registry's own file as it is", () => {
  const loaded = read(OLD_FILE, { STORAGE_PATH: '/srv/registry' });
  const { storage, protocols, log, http, search } = loaded.config;
  assert.deepEqual(storage.driver, {
    kind: 'filesystem',
    root: '/srv/registry',
    fsync: true,
  });
  assert.equal(storage.delete, true);
  assert.equal(protocols.v1.issue, '"our registry"');
  assert.equal(protocols.v1.indexEndpoint, 'https://index.example');
  assert.equal(log.level, 'debug');
  assert.equal(http.drainSeconds, 3600);
  assert.equal(search.enabled, true);
  assert.deepEqual(warningsOf(loaded), [
    'sqlalchemy_index_database obsolete and ignored: the search index needs no database',
  ]);
});

test("maps docker-registry's S3, Redis, mail and mirror to ours", () => {
  const { config } = read(OLD_FILE, {
    SETTINGS_FLAVOR: 's3',
    AWS_BUCKET: 'b',
    AWS_REGION: 'eu',
    AWS_KEY: '0123',
    AWS_SECRET: 'shh',
    AWS_HOST: 's3.example',
    AWS_PORT: '8443',
    CACHE_REDIS_HOST: 'redis',
    CACHE_REDIS_PORT: '6380',
    SMTP_HOST: 'mail',
    MIRROR_SOURCE: 'https://up.example/',
    STORAGE_REDIRECT: 'true',
  });
  assert.equal(config.storage.driver.kind, 's3');
  assert.ok(config.storage.driver.kind === 's3');
  const { bucket, region, endpoint, root, accessKey, encrypt } = config.storage.driver;
  assert.deepEqual(
    { bucket, region, endpoint, root, accessKey, encrypt },
    {
      bucket: 'b',
      region: 'eu',
      endpoint: 'https://s3.example:8443',
      root: '/registry',
      accessKey: '0123',
      encrypt: true,
    },
  );
  assert.deepEqual(config.redis?.addresses, ['redis:6380']);
  assert.equal(config.mail?.host, 'mail');
  assert.deepEqual(config.protocols.v1.mirror, {
    source: 'https://up.example',
    sourceIndex: 'https://up.example',
    username: undefined,
    password: undefined,
    tagsCacheSeconds: 172_800,
  });
});

test('names the drivers there are when an old flavor asks for one that is gone', () => {
  const mistakes = mistakesIn(OLD_FILE, { SETTINGS_FLAVOR: 'swift' });
  assert.equal(mistakes.length, 1);
  assert.match(mistakes[0] ?? '', /no storage driver of this name; use filesystem, inmemory, s3/);
});

test("obeys docker-registry's run-time environment", () => {
  const { config } = flavor('issue: x', {
    REGISTRY_HOST: '127.0.0.1',
    REGISTRY_PORT: '5001',
    GUNICORN_WORKERS: '3',
    GUNICORN_GRACEFUL_TIMEOUT: '60',
    GUNICORN_SILENT_TIMEOUT: '90',
    GUNICORN_USER: 'registry',
    GUNICORN_GROUP: '',
    GUNICORN_ACCESS_LOG_FILE: '"-"',
    GUNICORN_ERROR_LOG_FILE: '/var/log/registry.log',
  });
  assert.deepEqual(config.http.listen, { kind: 'tcp', host: '127.0.0.1', port: 5001 });
  assert.equal(config.http.drainSeconds, 60);
  assert.deepEqual(config.workers, {
    count: 3,
    silentSeconds: 90,
    maxRequests: 0,
    maxRequestsJitter: 0,
    user: 'registry',
    group: undefined,
    pidFile: undefined,
  });
  assert.equal(config.log.access.file, '-');
  assert.equal(config.log.file, '/var/log/registry.log');
});

test('ignores REGISTRY_PORT=tcp://… of a container link, and says so', () => {
  const loaded = flavor('issue: x', {
    REGISTRY_PORT: 'tcp://10.0.0.1:5000',
    REGISTRY_PORT_5000_TCP: 'tcp://10.0.0.1:5000',
  });
  assert.deepEqual(loaded.config.http.listen, { kind: 'tcp', host: '0.0.0.0', port: 5000 });
  assert.match(
    warningsOf(loaded)[0] ?? '',
    /listen.port "tcp:\/\/10.0.0.1:5000" was set by a container link/,
  );
  assert.equal(loaded.warnings.length, 1);
});

for (const text of [
  '[--preload, --max-requests, "100", --bind=127.0.0.1:81]',
  '--preload --max-requests 100 -b 127.0.0.1:81',
]) {
  test(`obeys what has a meaning of GUNICORN_OPTS=${text}, and names the rest`, () => {
    const loaded = flavor('issue: x', { GUNICORN_OPTS: text });
    assert.equal(loaded.config.workers.maxRequests, 100);
    assert.deepEqual(loaded.config.http.listen, { kind: 'tcp', host: '127.0.0.1', port: 81 });
    assert.deepEqual(warningsOf(loaded), [' no meaning here, ignored: --preload']);
  });
}

test("says that docker-registry's privileged key opens nothing", () => {
  const warnings = warningsOf(flavor('privileged_key: /etc/key.pem'));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /^privileged_key ignored: X-Signature is accepted from nobody/);
});
