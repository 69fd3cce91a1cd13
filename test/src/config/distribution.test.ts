import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mistakesIn, read, warningsOf } from '../../support/config.ts';

const MINIMAL = 'version: 0.1\nstorage: {filesystem: {rootdirectory: /srv}}\n';

/** With the keys of distribution's config-example.yml. */
const EXAMPLE = `
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  tag:
    concurrencylimit: 8
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
auth:
  htpasswd:
    realm: basic-realm
    path: /etc/registry
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`;

/** With the keys of distribution's config-cache.yml and config-dev.yml. */
const CACHE = `
version: 0.1
log: {level: debug, fields: {service: registry, environment: development}}
storage:
    delete: {enabled: true}
    cache: {blobdescriptor: redis}
    filesystem: {rootdirectory: /var/lib/registry-cache}
    maintenance:
        uploadpurging: {enabled: false}
http:
    addr: :5000
    secret: shared
    debug:
        addr: localhost:5001
        prometheus: {enabled: true, path: /metrics}
redis:
  addr: localhost:6379
  pool: {maxidle: 16, maxactive: 64, idletimeout: 300s}
  dialtimeout: 10ms
  readtimeout: 10ms
  writetimeout: 10ms
notifications:
    events: {includereferences: true}
    endpoints:
        - name: local-8082
          url: http://localhost:5003/callback
          headers: {Authorization: [Bearer abc]}
          timeout: 1s
          threshold: 10
          backoff: 1s
          disabled: true
        - name: local-8083
          url: http://localhost:8083/callback
          timeout: 500ms
          threshold: 3
          ignoredmediatypes: [application/octet-stream]
          ignore: {mediatypes: [a/b], actions: [pull]}
proxy: {remoteurl: https://registry.example, username: u, password: p}
`;

test("reads distribution's example", () => {
  const { config, warnings } = read(EXAMPLE);
  assert.deepEqual(config.source, {
    kind: 'distribution',
    path: 'test.yml',
    flavor: undefined,
    literalSecrets: false,
  });
  assert.deepEqual(config.http.listen, { kind: 'tcp', host: '', port: 5000 });
  assert.deepEqual(config.log.fields, { service: 'registry' });
  assert.equal(config.log.access.format, 'combined');
  assert.equal(config.storage.delete, false);
  assert.deepEqual(config.auth.htpasswd, { path: '/etc/registry' });
  assert.equal(config.auth.realm, 'basic-realm');
  assert.deepEqual(config.auth.rules[0]?.actions, ['pull', 'push', 'delete', 'catalog']);
  assert.equal(config.health.storageIntervalSeconds, 10);
  assert.equal(config.health.storageThreshold, 3);
  assert.deepEqual(
    warnings.map(({ message }) => message),
    ['understood, but without effect here: storage.tag.concurrencylimit'],
  );
});

test("reads distribution's cache and development files, and says what is not acted upon", () => {
  const loaded = read(CACHE);
  const { config } = loaded;
  assert.equal(config.storage.delete, true);
  assert.equal(config.storage.purge.enabled, false);
  assert.deepEqual(config.redis?.addresses, ['localhost:6379']);
  assert.equal(config.redis?.dialSeconds, 0.01);
  assert.deepEqual(config.http.debug, {
    listen: { kind: 'tcp', host: 'localhost', port: 5001 },
    prometheus: true,
    metricsPath: '/metrics',
    profiles: false,
  });
  assert.deepEqual(
    config.notifications.endpoints.map(({ name, timeoutSeconds, ignoredMediaTypes }) => ({
      name,
      timeoutSeconds,
      ignoredMediaTypes,
    })),
    [
      {
        name: 'local-8083',
        timeoutSeconds: 0.5,
        ignoredMediaTypes: ['application/octet-stream', 'a/b'],
      },
    ],
  );
  assert.equal(config.proxy?.ttlSeconds, 604_800);
  assert.ok(warningsOf(loaded).some((each) => /^proxy.remoteurl .*without effect/.test(each)));
});

test('ignores an unknown key with a warning', () => {
  const loaded = read(`${MINIMAL}htp: {addr: ":1"}\n`);
  assert.deepEqual(warningsOf(loaded), ['htp unknown key, ignored; did you mean "http"?']);
});

for (const [text, expected] of [
  ['version: 0.2\nstorage: inmemory\n', /^1 version expected 0.1, got "0.2"/],
  ['version: 0.1\n', /storage expected one storage driver/],
  [
    'version: 0.1\nstorage: {delete: {enabled: true}, filesystem: {}, s3: {bucket: b}}\n',
    /expected exactly one storage driver/,
  ],
  ['version: 0.1\nstorage: inmemory\nlog: {level: loud}\n', /^3 log.level/],
] as const) {
  test(`refuses ${JSON.stringify(text)}`, () => {
    assert.match(mistakesIn(text).join('\n'), expected);
  });
}

test('reads durations as Go does, and warns of a bare number that means nanoseconds', () => {
  const loaded = read(`${MINIMAL}http: {draintimeout: 30}\n`);
  assert.ok(loaded.config.http.drainSeconds < 1e-7);
  assert.match(warningsOf(loaded)[0] ?? '', /counts nanoseconds here; write a unit, such as 30s/);
  assert.equal(read(`${MINIMAL}http: {draintimeout: 1h1m1.5s}\n`).config.http.drainSeconds, 3661.5);
});

test('takes letsencrypt as distribution spells it, unless certificate files are set', () => {
  const letsencrypt =
    'letsencrypt: {cachefile: /cache, email: a@b.example, hosts: [Registry.Example]}';
  const { config } = read(`${MINIMAL}http: {tls: {${letsencrypt}}}\n`);
  assert.deepEqual(config.http.tls?.letsEncrypt, {
    hosts: ['registry.example'],
    email: 'a@b.example',
    cacheFolder: '/cache',
    directoryUrl: 'https://acme-v02.api.letsencrypt.org/directory',
  });
  const both = read(`${MINIMAL}http: {tls: {certificate: c, key: k, ${letsencrypt}}}\n`);
  assert.equal(both.config.http.tls?.letsEncrypt, undefined);
  assert.match(warningsOf(both).join(), /letsencrypt ignored, since certificate and key are set/);
});

test('translates cipher suites from their IANA names', () => {
  const suites =
    'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_RSA_WITH_AES_256_CBC_SHA';
  const { config } = read(
    `${MINIMAL}http: {tls: {certificate: c, key: k, ciphersuites: [${suites}]}}\n`,
  );
  assert.deepEqual(config.http.tls?.cipherSuites, [
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'AES256-SHA',
  ]);
});

const OVERRIDES: [
  Record<string, string>,
  (config: ReturnType<typeof read>['config']) => unknown,
  unknown,
][] = [
  [
    { REGISTRY_HTTP_ADDR: '127.0.0.1:7' },
    (c) => c.http.listen,
    { kind: 'tcp', host: '127.0.0.1', port: 7 },
  ],
  [{ REGISTRY_STORAGE_DELETE_ENABLED: 'true' }, (c) => c.storage.delete, true],
  [{ REGISTRY_STORAGE: 'inmemory' }, (c) => c.storage.driver, { kind: 'memory' }],
  [
    { REGISTRY_STORAGE_S3_BUCKET: 'b', REGISTRY_STORAGE_S3_REGION: 'r', REGISTRY_STORAGE: 's3' },
    (c) => c.storage.driver.kind === 's3' && [c.storage.driver.bucket, c.storage.driver.region],
    ['b', 'r'],
  ],
  [
    { 'REGISTRY_HTTP_HEADERS_X-Frame': '["a", "b"]' },
    (c) => c.http.headers,
    { 'x-frame': ['a', 'b'] },
  ],
  [{ REGISTRY_LOG_FIELDS_ENV: 'prod' }, (c) => c.log.fields, { env: 'prod' }],
  [{ REGISTRY_LOGLEVEL: 'error' }, (c) => c.log.level, 'error'],
  [
    { REGISTRY_AUTH: 'htpasswd', REGISTRY_AUTH_HTPASSWD_PATH: '/p' },
    (c) => c.auth.htpasswd,
    { path: '/p' },
  ],
  [
    { REGISTRY_AUTH: '{silly: {realm: r, service: s}}' },
    (c) => c.auth.silly,
    { realm: 'r', service: 's' },
  ],
  [
    {
      REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME: 'n',
      REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL: 'http://a',
    },
    (c) => c.notifications.endpoints.map(({ name, url }) => [name, url]),
    [['n', 'http://a']],
  ],
  [
    {
      REGISTRY_NOTIFICATIONS_ENDPOINTS: '[{name: n, url: "http://a"}]',
      REGISTRY_NOTIFICATIONS_ENDPOINTS_1_URL: 'http://b',
    },
    (c) => c.notifications.endpoints.map(({ url }) => url),
    ['http://a', 'http://b'],
  ],
  [{ REGISTRY_BRIDGE_MAXLAYERBYTES: '1GiB' }, (c) => c.bridge.maxLayerBytes, 1024 ** 3],
  [{ REGISTRY_HTTP_SECRET: '"007"' }, (c) => c.http.secret, '007'],
];

for (const [environment, look, expected] of OVERRIDES) {
  test(`obeys ${Object.keys(environment).join(' and ')}`, () => {
    assert.deepEqual(look(read(MINIMAL, environment).config), expected);
  });
}

test('refuses a second driver from the environment', () => {
  assert.match(
    mistakesIn(MINIMAL, { REGISTRY_STORAGE_S3_BUCKET: 'b' }).join(),
    /expected exactly one storage driver/,
  );
});

test('names the variable in a mistake', () => {
  assert.match(
    mistakesIn(MINIMAL, { REGISTRY_HTTP_ADDR: 'x' })[0] ?? '',
    /^REGISTRY_HTTP_ADDR http.addr expected an address/,
  );
  assert.match(
    mistakesIn(MINIMAL, { REGISTRY_HTTP_ADDR: '[' })[0] ?? '',
    /^REGISTRY_HTTP_ADDR .*not valid YAML/,
  );
});

test('warns of variables that set nothing, and is silent about container links', () => {
  const loaded = read(`${MINIMAL}http: {addr: ':5000'}\n`, {
    REGISTRY_REDIS_PORT: 'tcp://10.0.0.2:6379',
    REGISTRY_HTP_ADDR: ':1',
    REGISTRY_HTTP_ADDR_X: '1',
    REGISTRY_NOTIFICATIONS_ENDPOINTS_5_URL: 'x',
    REGISTRY_SERVICE_HOST: '10.0.0.1',
    REGISTRY_PORT_5000_TCP_ADDR: '10.0.0.1',
    REGISTRY_PORT: 'tcp://10.0.0.1:5000',
    REGISTRY_HOST: '1.2.3.4',
    REGISTRY_AUTH_FILE: '/root/.config/containers/auth.json',
  });
  const warnings = loaded.warnings.map(
    ({ origin }) => origin?.kind === 'environment' && origin.variable,
  );
  assert.deepEqual(warnings.sort(), [
    'REGISTRY_HOST',
    'REGISTRY_HTP_ADDR',
    'REGISTRY_HTTP_ADDR_X',
    'REGISTRY_NOTIFICATIONS_ENDPOINTS_5_URL',
    'REGISTRY_PORT',
  ]);
});
