import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mistakesIn } from '../../support/config.ts';

/** A flavor's line, and what its mistake must say. */
const MISTAKES: [string, RegExp][] = [
  ['loglevl: debug', /^2 loglevl unknown key; did you mean "loglevel"\?/],
  ['loglevel: loud', /^2 loglevel expected one of debug, info, .* got "loud"/],
  ['standalone: maybe', /^2 standalone expected true or false, got "maybe"/],
  ['listen: {port: 99999}', /^2 listen.port expected a whole number, from 0 to 65535, got 99999/],
  ['listen: {port: many}', /^2 listen.port expected a whole number, got "many"/],
  ['listen: 5000', /^2 listen expected a map of settings, got "5000"/],
  ['workers: 0', /^2 workers expected a whole number, from 1 to 256, got 0/],
  [
    '{storage: inmemory, workers: 2}',
    /^2 workers 2 workers can't share storage in memory; set it to 1 \(GUNICORN_WORKERS=1\)/,
  ],
  ['http: {draintimeout: soon}', /^2 http.draintimeout expected a duration such as 10s/],
  [
    'http: {limits: {manifestbytes: lots}}',
    /^2 http.limits.manifestbytes expected a size in bytes/,
  ],
  ['http: {limits: {manifestbytes: 1}}', /at least 1024, got 1/],
  ['http: {prefix: no slash}', /^2 http.prefix expected a path such as \/registry/],
  ['http: {host: registry.example}', /^2 http.host expected a URL such as https:/],
  ['http: {addr: nowhere}', /^2 http.addr expected an address such as :5000/],
  ['http: {net: unix}', /^2 http.addr expected the path of the socket/],
  ['http: {tls: {key: k.pem}}', /^2 http.tls.certificate expected the path of the certificate/],
  [
    'http: {tls: {letsencrypt: {email: a@b.example}}}',
    /^2 http.tls.letsencrypt.hosts expected the names that get a certificate/,
  ],
  [
    'http: {tls: {letsencrypt: {hosts: ["*.example.org"]}}}',
    /hosts expected names such as registry.example, .* got "\*\.example\.org"/,
  ],
  [
    'http: {tls: {certificate: c, key: k, minimumtls: tls0.9}}',
    /tls1.0, tls1.1, tls1.2, tls1.3, got "tls0.9"/,
  ],
  [
    'http: {tls: {certificate: c, key: k, ciphersuites: [TLS_X]}}',
    /there is no cipher suite "TLS_X"/,
  ],
  [
    'storage: {filesytem: {rootdirectory: x}}',
    /^2 storage.filesytem there is no storage driver .* "filesystem"\?/,
  ],
  ['storage: glance', /^2 storage.* there is no storage driver of this name/],
  ['storage: {filesystem: {}, inmemory: {}}', /^2 storage expected exactly one storage driver/],
  ['storage: s3', /bucket is needed by this storage driver/],
  ['bridge: {platforms: [linux]}', /^2 bridge.platforms expected os\/architecture/],
  [
    'bridge: {platformsFor: [{repositories: "A B"}]}',
    /^2 bridge.platformsFor\[0\].repositories expected a repository pattern/,
  ],
  [
    'validation: {manifests: {urls: {allow: ["("]}}}',
    /^2 validation.manifests.urls.allow "\(" is no regular expression/,
  ],
  ['auth: {htpasswd: {path: p}, token: {realm: r}}', /^2 auth expected one kind of access control/],
  ['auth: {token: {realm: r, service: s}}', /^2 auth.token.issuer is needed/],
  ['auth: {rules: [{users: [x], actions: [pull]}]}', /^2 auth.rules rules need accounts/],
  [
    'auth: {htpasswd: {path: p}, rules: [{users: [x], actions: [pul]}]}',
    /^2 auth.rules\[0\].actions .* got "pul"/,
  ],
  ['auth: {htpasswd: {path: p}, rules: [{groups: [g], actions: [pull]}]}', /there is no group "g"/],
  ['auth: {htpasswd: {path: p}, rules: [{actions: [pull]}]}', /the rule is for nobody/],
  [
    'notifications: {endpoints: [{name: a}]}',
    /^2 notifications.endpoints\[0\].url expected the URL/,
  ],
  [
    'notifications: {endpoints: {name: a}}',
    /^2 notifications.endpoints expected a list of maps, got a map/,
  ],
  [
    'cors: {origins: _env:CORS_ORIGINS:*}',
    /^2 cors.origins the value "\*" is not valid YAML; put quotes/,
  ],
  ['issue: _env::x', /^2 issue expected _env:NAME or _env:NAME:default/],
  ['log: {level: info}\n  loglevel: debug', /^3 loglevel given twice, also as log.level/],
  ['loglevel: info\n  loglevel: debug', /^3 loglevel the key is given twice/],
  ['<<: text', /only a map can be merged/],
  ['workers: [1', /^\d not valid YAML|^\d {2}not valid YAML/],
];

for (const [line, expected] of MISTAKES) {
  test(`refuses \`${line}\``, () => {
    const mistakes = mistakesIn(`dev:\n  ${line}\n`);
    assert.ok(
      mistakes.some((each) => expected.test(each)),
      `got ${JSON.stringify(mistakes)}`,
    );
  });
}

test('tells all mistakes at once, each with its line', () => {
  const mistakes = mistakesIn(
    'dev:\n  loglevel: loud\n  workers: 0\n  standalone: maybe\n  colour: red\n',
  );
  assert.deepEqual(mistakes.map((each) => each.split(' ', 2).join(' ')).sort(), [
    '2 loglevel',
    '3 workers',
    '4 standalone',
    '5 colour',
  ]);
});

test('lists the flavors there are when the one asked for is missing', () => {
  const [mistake] = mistakesIn('dev: {}\nprod: {}\n', { SETTINGS_FLAVOR: 'prdo' });
  assert.match(mistake ?? '', /no flavor "prdo"; it has dev, prod; did you mean "prod"\?/);
});

test('refuses a document that is no map', () => {
  assert.match(mistakesIn('- a\n')[0] ?? '', /expected a map of flavors/);
});

test('survives an alias that contains itself', () => {
  assert.match(
    mistakesIn('dev: &a\n  http: *a\n')[0] ?? '',
    /nested deeper|unknown key|not valid YAML/i,
  );
});
