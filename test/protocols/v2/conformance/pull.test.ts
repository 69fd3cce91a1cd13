import { describe } from 'node:test';
import { type Call, check, type Expectation, send } from '../../../support/http-row.ts';
import {
  ACCEPT_OCI,
  digest,
  image,
  OCI_MANIFEST,
  Pusher,
  randomBlob,
} from '../../../support/oci-content.ts';
import { describeRequirements, type Level } from '../../../support/requirements.ts';
import { useServer } from '../../../support/server.ts';

describe('OCI distribution-spec, category Pull', () => {
  const server = useServer({ storage: 'filesystem' });
  const push = new Pusher(() => server.url);
  const pulled = image();
  const blob = randomBlob(2048);
  const ready = (async () => undefined)();

  let pushed: Promise<void> | undefined;
  const populate = (): Promise<void> => {
    pushed ??= (async () => {
      await ready;
      await push.image('pull/one', pulled, 'latest');
      await push.blob('pull/one', blob);
    })();
    return pushed;
  };

  const row = (
    section: string,
    level: Level,
    says: string,
    path: string,
    expect: Expectation,
    call: Call = {},
  ) => ({
    section,
    level,
    says,
    check: async () => {
      await populate();
      check(await send(server.url + path, call), expect);
    },
  });

  const manifests = '/v2/pull/one/manifests';
  const blobs = '/v2/pull/one/blobs';
  const unknown = digest('nobody pushed this');
  const found = {
    status: 200,
    headers: {
      'content-type': OCI_MANIFEST,
      'content-length': String(pulled.size),
      'docker-content-digest': pulled.digest,
    },
  };
  const foundBlob = {
    status: 200,
    headers: { 'content-length': '2048', 'docker-content-digest': blob.digest },
  };
  const part = (from: number, to: number): Expectation => ({
    status: 206,
    body: blob.bytes.subarray(from, to + 1),
    headers: {
      'content-length': String(to - from + 1),
      'content-range': `bytes ${from}-${to}/2048`,
    },
  });
  const range = (value: string): Call => ({ headers: { range: `bytes=${value}` } });
  const accept: Call = { headers: { accept: ACCEPT_OCI } };
  const head: Call = { method: 'HEAD', ...accept };

  describeRequirements('requirements', [
    row('Determining Support', 'MUST', 'GET /v2/ is 200', '/v2/', { status: 200 }),
    row(
      'Pulling manifests',
      'MUST',
      'a tag gives the bytes that were pushed',
      `${manifests}/latest`,
      { ...found, body: pulled.bytes },
      accept,
    ),
    row(
      'Pulling manifests',
      'MUST',
      'a digest gives the bytes that were pushed',
      `${manifests}/${pulled.digest}`,
      { ...found, body: pulled.bytes },
      accept,
    ),
    row(
      'Pulling manifests',
      'SHOULD',
      'a client that sends no Accept gets what is stored',
      `${manifests}/latest`,
      found,
    ),
    row(
      'Pulling manifests',
      'SHOULD',
      'the Content-Type has no parameters',
      `${manifests}/latest`,
      { status: 200, headers: { 'content-type': /^[^;]+$/ } },
    ),
    row('Pulling manifests', 'MUST', 'an unknown tag is 404', `${manifests}/missing`, {
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    }),
    row(
      'Pulling manifests',
      'MUST',
      'what cannot be a tag is 404',
      `${manifests}/.INVALID_MANIFEST_NAME`,
      { status: 404, code: 'MANIFEST_UNKNOWN' },
    ),
    row('Pulling manifests', 'MUST', 'an unknown digest is 404', `${manifests}/${unknown}`, {
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    }),
    row(
      'Pulling manifests',
      'MUST',
      'an unknown sha512 digest is 404',
      `${manifests}/${digest('no', 'sha512')}`,
      { status: 404, code: 'MANIFEST_UNKNOWN' },
    ),
    row(
      'Pulling manifests',
      'MUST',
      'a manifest of an unknown repository is 404',
      '/v2/no/such/manifests/latest',
      { status: 404, code: 'MANIFEST_UNKNOWN' },
    ),
    row(
      'Pulling manifests',
      'MUST',
      'a malformed digest is 400',
      `${manifests}/sha256:baddigeststring`,
      { status: 400, code: 'DIGEST_INVALID' },
    ),
    row(
      'Pulling manifests',
      'SHOULD',
      'an unsupported digest algorithm is 400',
      `${manifests}/md5:d41d8cd98f00b204e9800998ecf8427e`,
      { status: 400, code: 'DIGEST_INVALID' },
    ),
    row(
      'Pulling blobs',
      'MUST',
      'an existing blob is 200 with its bytes and digest',
      `${blobs}/${blob.digest}`,
      { ...foundBlob, body: blob.bytes },
    ),
    row('Pulling blobs', 'MUST', 'an unknown blob is 404', `${blobs}/${unknown}`, {
      status: 404,
      code: 'BLOB_UNKNOWN',
    }),
    row(
      'Pulling blobs',
      'MUST',
      'a blob of another repository is 404 here',
      `/v2/pull/two/blobs/${blob.digest}`,
      { status: 404, code: 'BLOB_UNKNOWN' },
    ),
    row(
      'Pulling blobs',
      'SHOULD',
      'bytes=500-1499 gives those bytes',
      `${blobs}/${blob.digest}`,
      part(500, 1499),
      range('500-1499'),
    ),
    row(
      'Pulling blobs',
      'SHOULD',
      'bytes=500- gives the rest',
      `${blobs}/${blob.digest}`,
      part(500, 2047),
      range('500-'),
    ),
    row(
      'Pulling blobs',
      'SHOULD',
      'bytes=-500 gives the end',
      `${blobs}/${blob.digest}`,
      part(1548, 2047),
      range('-500'),
    ),
    row(
      'Pulling blobs',
      'SHOULD',
      'a range that begins inside and ends outside is cut',
      `${blobs}/${blob.digest}`,
      part(2000, 2047),
      range('2000-5000'),
    ),
    row(
      'Pulling blobs',
      'SHOULD',
      'a reversed range is 416',
      `${blobs}/${blob.digest}`,
      { status: 416, code: 'RANGE_INVALID' },
      range('500-0'),
    ),
    row(
      'Pulling blobs',
      'SHOULD',
      'a range outside is 416 and says the size',
      `${blobs}/${blob.digest}`,
      { status: 416, code: 'RANGE_INVALID', headers: { 'content-range': 'bytes */2048' } },
      range('5000-10000'),
    ),
    row(
      'Checking if content exists',
      'MUST',
      'HEAD of a tag is 200 with length and digest',
      `${manifests}/latest`,
      { ...found, body: '' },
      head,
    ),
    row(
      'Checking if content exists',
      'MUST',
      'HEAD of a manifest digest is 200',
      `${manifests}/${pulled.digest}`,
      { ...found, body: '' },
      head,
    ),
    row(
      'Checking if content exists',
      'MUST',
      'HEAD of a blob is 200 with length and digest',
      `${blobs}/${blob.digest}`,
      { ...foundBlob, body: '' },
      head,
    ),
    row(
      'Checking if content exists',
      'MUST',
      'HEAD of an unknown blob is 404',
      `${blobs}/${unknown}`,
      { status: 404, body: '' },
      head,
    ),
    row(
      'Checking if content exists',
      'MUST',
      'HEAD of an unknown tag is 404',
      `${manifests}/missing`,
      { status: 404, body: '' },
      head,
    ),
    row(
      'Checking if content exists',
      'MUST',
      'HEAD of what cannot be a tag is 404',
      `${manifests}/.INVALID_MANIFEST_NAME`,
      { status: 404, body: '' },
      head,
    ),
    row(
      'Checking if content exists',
      'WE',
      'HEAD with a range answers as GET would',
      `${blobs}/${blob.digest}`,
      {
        status: 206,
        body: '',
        headers: { 'content-length': '10', 'content-range': 'bytes 0-9/2048' },
      },
      { method: 'HEAD', ...range('0-9') },
    ),
    row(
      'Error Codes',
      'MUST',
      'a JSON error names a code of the table',
      `${manifests}/sha256:totallywrong`,
      { status: 400, code: 'DIGEST_INVALID' },
      { method: 'PUT', headers: { 'content-type': OCI_MANIFEST }, body: 'blablabla' },
    ),
    row(
      'Registry Proxying',
      'MAY',
      'the ns parameter is ignored',
      `${manifests}/latest?ns=docker.io`,
      found,
      accept,
    ),
  ]);
});
