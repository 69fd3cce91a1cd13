import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { check, sendRaw } from '../../../support/http-row.ts';
import { useRefusals } from '../../../support/refusals.ts';
import { snapshot } from '../../../support/snapshot.ts';

describe('malformed names and paths', () => {
  const { server, refuse, http, stored } = useRefusals(150);

  describe('repository names', () => {
    const names = [
      'A',
      'Foo/bar',
      'foo/Bar',
      '-a',
      'a-',
      '.a',
      'a.',
      '_a',
      'a_',
      'a___b',
      'a.-b',
      'a._b',
      'a_-b',
      'a/-b',
      'a/b-',
      'a/_b',
      'a%20b',
      'a%00b',
      'a%00',
      '%00',
      'a%0ab',
      'a%0d%0ab',
      'a%09b',
      'a%7fb',
      'a%5cb',
      'a%5c..%5cb',
      'a:b',
      'a@b',
      'a+b',
      'a~b',
      'a!b',
      'a*b',
      'a;b',
      'a,b',
      'a=b',
      'a&b',
      'a$b',
      "a'b",
      'a(b)',
      'a%22b',
      'a%3Cb%3E',
      'a%3Fb',
      'a%23b',
      'a%25b',
      'a%252fb',
      'a%252e%252e%252fb',
      '%C3%A4',
      '%E2%82%AC',
      '%F0%9F%90%B3',
      '%E2%80%AE',
      'a%E2%80%8Bb',
      'a%CC%81',
      '%D0%B0pple',
      'localhost:5000/foo',
      'Foo.Com/foo',
      'x'.repeat(256),
      `${'ab/'.repeat(90)}a`,
      'a/...',
      'a/.../b',
      '%2Dfoo',
      'b%2F-c',
      'B%2Fc',
    ];
    for (const name of names) {
      const shown = name.length > 40 ? `${name.slice(0, 20)}… (${name.length})` : name;
      refuse({
        name: `${shown} in a pull`,
        bytes: () => http('GET', `/v2/${name}/tags/list`),
        status: 400,
        code: 'NAME_INVALID',
      });
      refuse({
        name: `${shown} in a push`,
        bytes: () => http('POST', `/v2/${name}/blobs/uploads/`),
        status: 400,
        code: 'NAME_INVALID',
      });
    }
  });

  describe('percent escapes that are none', () => {
    for (const name of [
      'a%',
      'a%2',
      'a%zz',
      'a%ff',
      'a%c0%ae',
      'a%c0%af',
      'a%e0%80%af',
      'a%ed%a0%80',
      'a%f8%80',
      '%u0061',
    ]) {
      refuse({
        name,
        bytes: () => http('GET', `/v2/${name}/manifests/latest`),
        status: 400,
        code: 'NAME_INVALID',
      });
    }
  });

  describe('paths', () => {
    const out = [
      '/v2/../etc/passwd',
      '/v2/..',
      '/v2/repo/../../..',
      '/v2/%2e%2e/x',
      '/v2/..%2f..%2fx',
      '/v2/a/%2e%2e/%2E%2E/x',
    ];
    for (const path of out) {
      refuse({ name: path, bytes: () => http('GET', path), status: 400, code: 'NAME_INVALID' });
    }
    const unknown = [
      '/v2/repo',
      '/v2/repo/',
      '/v2/repo/manifests',
      '/v2/repo/manifests/',
      '/v2/repo/blobs',
      '/v2/repo/blobs/',
      '/v2/repo/tags',
      '/v2/repo/tags/list/',
      '/v2/_catalog/',
      '/v2/_unknown',
      '/v2/repo/referrers',
      '/v2/repo/referrers/',
      '/v2/manifests/latest',
      '/v2/tags/list',
      '/v2/repo/blobs/x/y/z',
    ];
    for (const path of unknown) {
      refuse({ name: path, bytes: () => http('GET', path), status: [400, 404] });
    }
    refuse({
      name: 'a path of 5,000 bytes',
      bytes: () => http('GET', `/v2/${'a'.repeat(5000)}/tags/list`),
      status: 400,
      code: 'NAME_INVALID',
    });
    refuse({
      name: 'a path of 2,000 components',
      bytes: () => http('GET', `/v2/${'a/'.repeat(2000)}tags/list`),
      status: 400,
      code: 'NAME_INVALID',
    });
  });

  it('leads paths with // and dots to the clean one, and serves nothing there', async () => {
    const moves: [string, string][] = [
      ['//v2/', '/v2/'],
      ['/v2//repo/tags/list', '/v2/repo/tags/list'],
      ['/v2/./repo/tags/list', '/v2/repo/tags/list'],
      ['/v2/x/../repo/tags/list?n=1', '/v2/repo/tags/list?n=1'],
      ['/v2/x/%2e%2e/repo/tags/list', '/v2/repo/tags/list'],
      ['/v2/repo/manifests/..%2ftags%2flist', '/v2/repo/tags/list'],
      ['//evil.test/../v2/', '/v2/'],
    ];
    for (const [from, location] of moves) {
      const answer = await sendRaw(server.port, http('GET', from));
      check(answer, { status: 301, headers: { location }, body: '' });
    }
    assert.deepEqual(await snapshot(server.driver), stored());
  });

  it('takes an escaped slash for a slash', async () => {
    const answer = await sendRaw(server.port, http('GET', '/v2%2Frepo%2Ftags%2Flist'));
    check(answer, { status: 200, json: { name: 'repo', tags: ['latest'] } });
  });
});
