import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { routeName } from '../../../src/metrics/route-name.ts';

const ROWS: [target: string, route: string][] = [
  ['/v2', 'base'],
  ['/v2/', 'base'],
  ['/v2/_catalog?n=5', 'catalog'],
  ['/v2/a/b/c/manifests/latest', 'manifest'],
  ['/v2/manifests/blobs/uploads/manifests/v1', 'manifest'],
  ['/v2/a/tags/list?n=1', 'tags'],
  ['/v2/a/blobs/sha256:00', 'blob'],
  ['/v2/a/blobs/uploads', 'blob_upload'],
  ['/v2/a/blobs/uploads/', 'blob_upload'],
  ['/v2/a/blobs/uploads/?mount=sha256:00&from=b/c', 'blob_upload'],
  ['/v2/a/blobs/uploads/0b1e-2', 'blob_upload_chunk'],
  ['/v2/a/referrers/sha256:00', 'referrers'],
  ['/v2/whatever', 'other'],
  ['/v1/_ping', 'v1_ping'],
  ['/_ping', 'v1_ping'],
  ['/v1/images/00/json', 'v1_image'],
  ['/v1/images/00/layer', 'v1_layer'],
  ['/v1/repositories/tags/x/tags/latest', 'v1_tags'],
  ['/v1/repositories/a/images', 'v1_repository'],
  ['/v1/users/', 'v1_users'],
  ['/v1/search?q=a', 'v1_search'],
  ['/', 'other'],
  ['', 'other'],
];

describe('route names', () => {
  for (const [target, route] of ROWS) {
    it(`say ${route} for ${JSON.stringify(target)}`, () => assert.equal(routeName(target), route));
  }

  it('leave the path out under which everything lives', () => {
    assert.equal(routeName('/hub/v2/', '/hub'), 'base');
  });
});
