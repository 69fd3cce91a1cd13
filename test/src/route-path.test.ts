import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { routePath, withoutPrefix } from '../../src/route-path.ts';

describe('the path that routes match on', () => {
  const same = [
    '/v2/',
    '/v2/a/b/tags/list',
    '/v2/a/manifests/..a',
    '/v2/a/blobs/sha256:00',
    '/v2/.a',
  ];
  for (const path of same) {
    it(`leaves ${path} as it is`, () => {
      assert.deepEqual(routePath(path), { kind: 'route', path });
    });
  }

  const rows: [string, string, 'route' | 'moved'][] = [
    ['/v2/a%2Fb/tags/list', '/v2/a/b/tags/list', 'route'],
    ['/v2/a/blobs/sha256%3A00', '/v2/a/blobs/sha256:00', 'route'],
    ['/v2/a%252Fb/x', '/v2/a%252Fb/x', 'route'],
    ['/v2/a%3Fb/x', '/v2/a%3Fb/x', 'route'],
    ['/v2//a', '/v2/a', 'moved'],
    ['/v2/a//', '/v2/a/', 'moved'],
    ['/v2/a/./b/', '/v2/a/b/', 'moved'],
    ['/v2/a/../b', '/v2/b', 'moved'],
    ['/v2/a/..', '/v2/', 'moved'],
    ['/../../x', '/x', 'moved'],
    ['/v2/a%2F..%2Fb', '/v2/b', 'moved'],
    ['/v2/%2e%2e/%2E%2E/x', '/x', 'moved'],
    ['//', '/', 'moved'],
  ];
  for (const [raw, path, kind] of rows) {
    it(`reads ${raw} as ${path}`, () => assert.deepEqual(routePath(raw), { kind, path }));
  }

  for (const raw of ['/%', '/%zz', '/%ff', '/%c0%ae', `/${'a'.repeat(5000)}`]) {
    it(`refuses ${raw.slice(0, 20)}`, () => assert.equal(routePath(raw).kind, 'invalid'));
  }

  it('takes a prefix off only where a whole segment matches', () => {
    assert.equal(withoutPrefix('/foo/v2/', '/foo'), '/v2/');
    assert.equal(withoutPrefix('/foo', '/foo'), '');
    assert.equal(withoutPrefix('/foobar/v2/', '/foo'), undefined);
    assert.equal(withoutPrefix('/v2/', '/foo'), undefined);
    assert.equal(withoutPrefix('/v2/', ''), '/v2/');
  });
});
