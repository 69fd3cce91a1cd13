import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { check, type HttpRow, jsonOf, runRows, send } from '../../support/http-row.ts';
import { digest, image, Pusher } from '../../support/oci-content.ts';
import { useServer } from '../../support/server.ts';

const VERSION = { 'docker-distribution-api-version': 'registry/2.0' };
const DIGEST = digest('x');

describe('the V2 surface', () => {
  const server = useServer();
  before(() => new Pusher(() => server.url).image('repo', image(), 'latest'));

  const allow = (path: string, methods: string): HttpRow[] => [
    {
      name: `OPTIONS ${path.slice(0, 40)} names ${methods}`,
      method: 'OPTIONS',
      path,
      expect: { status: 200, body: '', headers: { ...VERSION, allow: methods } },
    },
    {
      name: `a wrong method at ${path.slice(0, 40)} is 405 and names ${methods}`,
      method: 'PROPFIND',
      path,
      expect: { status: 405, code: 'UNSUPPORTED', headers: { ...VERSION, allow: methods } },
    },
  ];

  runRows(
    () => server.url,
    [
      {
        name: 'GET /v2/ is {} and nothing else',
        path: '/v2/',
        expect: {
          status: 200,
          body: '{}',
          headers: { ...VERSION, 'content-type': 'application/json', 'content-length': '2' },
        },
      },
      ...['HEAD', 'POST', 'PUT', 'DELETE', 'PATCH'].map(
        (method): HttpRow => ({
          name: `${method} /v2/ is 200 as well`,
          method,
          path: '/v2/',
          expect: { status: 200, headers: { ...VERSION, 'content-length': '2' } },
        }),
      ),
      {
        name: '/v2 leads to /v2/',
        path: '/v2',
        expect: { status: 301, headers: { ...VERSION, location: '/v2/' } },
      },
      {
        name: '/ says that the server lives, and is not V2',
        path: '/',
        expect: {
          status: 200,
          body: /docker-registry server/,
          headers: { 'cache-control': 'no-cache', 'docker-distribution-api-version': null },
        },
      },
      {
        name: 'an unknown path is 404 in the OCI form, with the version',
        path: '/v2/nothing/here',
        expect: { status: 404, code: 'UNSUPPORTED', headers: VERSION },
      },
      {
        name: '/v2x is not V2',
        path: '/v2x/',
        expect: { status: 404, headers: { 'docker-distribution-api-version': null } },
      },
      {
        name: 'an error of a handler has the version',
        path: '/v2/repo/manifests/unknown',
        expect: { status: 404, code: 'MANIFEST_UNKNOWN', headers: VERSION },
      },
      {
        name: 'HEAD of an error has the length of the body that GET would send',
        method: 'HEAD',
        path: '/v2/repo/manifests/unknown',
        expect: { status: 404, body: '', headers: { ...VERSION, 'content-length': /^[1-9]\d+$/ } },
      },
      ...allow('/v2/_catalog', 'HEAD, GET'),
      ...allow('/v2/repo/tags/list', 'HEAD, GET'),
      ...allow('/v2/repo/manifests/latest', 'HEAD, GET, PUT, DELETE'),
      ...allow(`/v2/repo/blobs/${DIGEST}`, 'HEAD, GET, DELETE'),
      ...allow('/v2/repo/blobs/uploads/', 'POST, HEAD, GET'),
      ...allow(`/v2/repo/referrers/${DIGEST}`, 'HEAD, GET'),
      {
        name: 'HEAD of the tags',
        method: 'HEAD',
        path: '/v2/repo/tags/list',
        expect: { status: 200, body: '', headers: { 'content-length': '34' } },
      },
      {
        name: 'HEAD of the catalog',
        method: 'HEAD',
        path: '/v2/_catalog',
        expect: { status: 200, body: '', headers: { 'content-type': 'application/json' } },
      },
      {
        name: 'POST to uploads without the last slash opens an upload too',
        method: 'POST',
        path: '/v2/repo/blobs/uploads',
        expect: { status: 202, headers: { location: /\/v2\/repo\/blobs\/uploads\/./ } },
      },
      {
        name: 'extensions are discovered as none',
        path: '/v2/_oci/ext/discover',
        expect: { status: 200, json: { extensions: [] } },
      },
    ],
  );

  it('says what a digest lacks, and what would be right', async () => {
    const answer = await send(`${server.url}/v2/repo/blobs/sha256:abc`);
    check(answer, { status: 400, code: 'DIGEST_INVALID', body: /64 lower-case hex digits/ });
  });

  it('says which rule a name breaks', async () => {
    const answer = await send(`${server.url}/v2/Repo/tags/list`);
    check(answer, { status: 400, code: 'NAME_INVALID', body: /lower-case/ });
    const long = await send(`${server.url}/v2/${'a'.repeat(256)}/tags/list`);
    check(long, { status: 400, code: 'NAME_INVALID', body: /255/ });
  });
});

describe('the front door', () => {
  const server = useServer();
  const open = useServer({ v2: { hideFromOldEngines: false } });
  const hidden = [
    'docker/0.7.6 go/go1.2',
    'docker/1.0.0 go/go1.2.1 git-commit/63fe64c kernel/3.13 os/linux arch/amd64',
    'docker/1.5.0 go/go1.4.1 git-commit/a8a31ef kernel/3.13 os/linux arch/amd64',
    'docker/1.5.0-dev',
    'Go 1.1 package http',
  ];
  const shown = [
    'docker/1.6.0 go/go1.4.2 git-commit/4749651 kernel/3.13 os/linux arch/amd64',
    'docker/1.13.1 go/go1.7.5',
    'docker/17.12.0-ce go/go1.9',
    'docker/24.0.7',
    'Go-http-client/1.1',
    'curl/8.0',
    'containerd/1.7',
    '',
  ];
  for (const agent of hidden) {
    it(`hides V2 from ${agent}`, async () => {
      for (const path of ['/v2/', '/v2/repo/manifests/latest', '/v2']) {
        const answer = await send(server.url + path, { headers: { 'user-agent': agent } });
        check(answer, { status: 404, headers: { 'docker-distribution-api-version': null } });
      }
      const answer = await send(`${open.url}/v2/`, { headers: { 'user-agent': agent } });
      check(answer, { status: 200, headers: VERSION });
    });
  }
  for (const agent of shown) {
    it(`shows V2 to ${agent || 'a client without a name'}`, async () => {
      const answer = await send(`${server.url}/v2/`, { headers: { 'user-agent': agent } });
      check(answer, { status: 200, headers: VERSION });
    });
  }
});

describe('a read-only registry', () => {
  const server = useServer({ readOnly: true });
  const writes: [string, string, string][] = [
    ['POST', '/v2/repo/blobs/uploads/', 'HEAD, GET'],
    ['PUT', '/v2/repo/manifests/latest', 'HEAD, GET'],
    ['DELETE', '/v2/repo/manifests/latest', 'HEAD, GET'],
    ['DELETE', `/v2/repo/blobs/${DIGEST}`, 'HEAD, GET'],
  ];
  for (const [method, path, allow] of writes) {
    it(`refuses ${method} ${path.slice(0, 40)}`, async () => {
      const answer = await send(server.url + path, { method });
      check(answer, { status: 405, code: 'UNSUPPORTED', headers: { allow } });
    });
  }
  it('still answers what can be read', async () => {
    assert.deepEqual(jsonOf(await send(`${server.url}/v2/_catalog`)), { repositories: [] });
  });
});
