import { before, describe } from 'node:test';
import { type HttpRow, runRows } from '../../support/http-row.ts';
import { digest, image, Pusher, randomBlob } from '../../support/oci-content.ts';
import { useServer } from '../../support/server.ts';

describe('conditional requests', () => {
  const server = useServer();
  const pushed = image();
  const blob = randomBlob(100);
  before(async () => {
    const push = new Pusher(() => server.url);
    await push.image('repo', pushed, 'latest');
    await push.blob('repo', blob);
  });

  const other = digest('other');
  const fresh = (of: string): string[] => [
    `"${of}"`,
    of,
    `W/"${of}"`,
    '*',
    `"${other}", "${of}"`,
    `"x",W/"${of}" , "y"`,
  ];
  const stale = ['"x"', `"${other}"`, '""', 'W/"x"', ','];

  const rowsFor = (what: string, path: string, of: string, bytes: Buffer): HttpRow[] =>
    ['GET', 'HEAD'].flatMap((method) => [
      ...fresh(of).map(
        (value): HttpRow => ({
          name: `${method} of ${what} with If-None-Match: ${value.slice(0, 30)} is 304 without a body`,
          method,
          path,
          headers: { 'if-none-match': value },
          expect: { status: 304, body: '', headers: { etag: `"${of}"` } },
        }),
      ),
      ...stale.map(
        (value): HttpRow => ({
          name: `${method} of ${what} with If-None-Match: ${value.slice(0, 30)} is 200`,
          method,
          path,
          headers: { 'if-none-match': value },
          expect: { status: 200, body: method === 'HEAD' ? '' : bytes },
        }),
      ),
    ]);
  const blobPath = `/v2/repo/blobs/${blob.digest}`;
  const range = { range: 'bytes=0-9' };

  runRows(
    () => server.url,
    [
      ...rowsFor('a tag', '/v2/repo/manifests/latest', pushed.digest, pushed.bytes),
      ...rowsFor('a manifest', `/v2/repo/manifests/${pushed.digest}`, pushed.digest, pushed.bytes),
      ...rowsFor('a blob', blobPath, blob.digest, blob.bytes),
      {
        name: 'a 304 comes whatever the client accepts',
        path: '/v2/repo/manifests/latest',
        headers: { 'if-none-match': `"${pushed.digest}"`, accept: '*/*' },
        expect: { status: 304, headers: { 'docker-distribution-api-version': 'registry/2.0' } },
      },
      {
        name: 'a manifest is served whole whatever Range says',
        path: '/v2/repo/manifests/latest',
        headers: range,
        expect: { status: 200, body: pushed.bytes, headers: { 'accept-ranges': null } },
      },
      {
        name: 'a blob may be kept for a year',
        path: blobPath,
        expect: {
          status: 200,
          headers: {
            'cache-control': 'max-age=31536000',
            'accept-ranges': 'bytes',
            'content-type': 'application/octet-stream',
            etag: `"${blob.digest}"`,
          },
        },
      },
      {
        name: 'If-Match of another digest is 412',
        path: blobPath,
        headers: { 'if-match': `"${other}"` },
        expect: { status: 412 },
      },
      {
        name: 'If-Match of the digest is 200',
        path: blobPath,
        headers: { 'if-match': `"${blob.digest}"` },
        expect: { status: 200, body: blob.bytes },
      },
      {
        name: 'If-Range of the digest gives the range',
        path: blobPath,
        headers: { ...range, 'if-range': `"${blob.digest}"` },
        expect: { status: 206, body: blob.bytes.subarray(0, 10) },
      },
      {
        name: 'If-Range of another digest gives the whole',
        path: blobPath,
        headers: { ...range, 'if-range': `"${other}"` },
        expect: { status: 200, body: blob.bytes },
      },
      {
        name: 'several ranges give the whole',
        path: blobPath,
        headers: { range: 'bytes=0-1,5-6' },
        expect: { status: 200, body: blob.bytes },
      },
    ],
  );
});
