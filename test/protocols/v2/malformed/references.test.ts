import { describe } from 'node:test';
import { OCI_MANIFEST } from '../../../support/oci-content.ts';
import { HEX, UNKNOWN, useRefusals } from '../../../support/refusals.ts';

describe('malformed references, ranges and numbers', () => {
  const { refuse, http, pushed, upload } = useRefusals(250);

  describe('digests', () => {
    const digests = [
      'sha256:',
      'sha256:abc',
      `sha256:${HEX}a`,
      `sha256:${HEX.slice(1)}`,
      `sha256:${HEX.toUpperCase()}`,
      `SHA256:${HEX}`,
      `sha256:${'g'.repeat(64)}`,
      `sha512:${HEX}`,
      `sha384:${'a'.repeat(96)}`,
      `md5:${'a'.repeat(32)}`,
      `sha256+b64:${HEX}`,
      `:${HEX}`,
      `sha256::${HEX}`,
      `sha256:${HEX}%00`,
      `sha256:${HEX}%20`,
      `%20sha256:${HEX}`,
      `sha256:%2e%2e`,
      `sha256:${HEX}:${HEX}`,
      `tarsum:${HEX}`,
      `sha256:${'%61'.repeat(63)}`,
      `sha256:${'é'.repeat(8)}`.replaceAll('é', '%C3%A9'),
      `sha256:${'0x'.repeat(32)}`,
    ];
    for (const digest of digests) {
      const shown = digest.length > 40 ? `${digest.slice(0, 24)}… (${digest.length})` : digest;
      const row = (name: string, bytes: () => Buffer): void =>
        refuse({ name: `${shown} ${name}`, bytes, status: 400, code: 'DIGEST_INVALID' });
      row('of a blob', () => http('GET', `/v2/repo/blobs/${digest}`));
      row('of a manifest', () => http('GET', `/v2/repo/manifests/${digest}`));
      row('of a referrer', () => http('GET', `/v2/repo/referrers/${digest}`));
      row('to delete', () => http('DELETE', `/v2/repo/blobs/${digest}`));
      row('to push', () =>
        http('PUT', `/v2/repo/manifests/${digest}`, [`Content-Type: ${OCI_MANIFEST}`], '{}'),
      );
      row('to finish an upload', () => http('PUT', `${upload()}?digest=${digest}`));
      row('of a whole upload', () =>
        http('POST', `/v2/repo/blobs/uploads/?digest=${digest}`, [], 'x'),
      );
    }
    refuse({
      name: 'no digest',
      bytes: () => http('PUT', upload()),
      status: 400,
      code: 'DIGEST_INVALID',
    });
    refuse({
      name: 'an empty digest',
      bytes: () => http('PUT', `${upload()}?digest=`),
      status: 400,
      code: 'DIGEST_INVALID',
    });
    refuse({
      name: 'a digest that the content of the POST has not',
      bytes: () => http('POST', `/v2/repo/blobs/uploads/?digest=${UNKNOWN}`, [], 'content'),
      status: 400,
      code: 'DIGEST_INVALID',
    });
    for (const algorithm of ['md5', 'sha384', 'SHA256', '', 'sha256;sha512', '../x']) {
      refuse({
        name: `digest-algorithm=${algorithm}`,
        bytes: () => http('POST', `/v2/repo/blobs/uploads/?digest-algorithm=${algorithm}`),
        status: 400,
        code: 'DIGEST_INVALID',
      });
    }
  });

  describe('tags', () => {
    for (const tag of [
      '.a',
      '-a',
      'a%20b',
      'a%2Fb',
      'a%00',
      'a@b',
      'a!',
      'ä'.replace('ä', '%C3%A4'),
      'x'.repeat(129),
      'a+b',
      'a,b',
      'a%0a',
      '%2e%2e.',
    ]) {
      refuse({
        name: `${tag.slice(0, 30)} to push`,
        bytes: () =>
          http(
            'PUT',
            `/v2/repo/manifests/${tag}`,
            [`Content-Type: ${OCI_MANIFEST}`],
            pushed().bytes,
          ),
        status: [400, 404],
      });
      refuse({
        name: `${tag.slice(0, 30)} to pull`,
        bytes: () => http('GET', `/v2/repo/manifests/${tag}`),
        status: 404,
      });
      refuse({
        name: `${tag.slice(0, 30)} as a parameter`,
        bytes: () =>
          http(
            'PUT',
            `/v2/repo/manifests/${pushed().digest}?tag=ok&tag=${tag.replace('+', '%2B')}`,
            [`Content-Type: ${OCI_MANIFEST}`],
            pushed().bytes,
          ),
        status: 400,
        code: 'TAG_INVALID',
      });
    }
    refuse({
      name: 'more tags in one request than are allowed',
      bytes: () =>
        http(
          'PUT',
          `/v2/repo/manifests/${pushed().digest}?${'tag=a&'.repeat(101)}`,
          [`Content-Type: ${OCI_MANIFEST}`],
          pushed().bytes,
        ),
      status: 400,
      code: 'TAG_INVALID',
    });
  });

  describe('uploads', () => {
    const ids = [
      'x',
      '..%00',
      '%00',
      'NOT-A-UUID',
      '8B1AEE52-0B4F-4A1D-A1C2-1F7A4F4C1A11',
      `${'a'.repeat(300)}`,
      '8b1aee52-0b4f-4a1d-a1c2-1f7a4f4c1a1',
      '8b1aee52-0b4f-4a1d-a1c2-1f7a4f4c1a11%2Fdata',
      '8b1aee52-0b4f-4a1d-a1c2-1f7a4f4c1a11',
    ];
    for (const id of ids) {
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        refuse({
          name: `${method} of ${id.slice(0, 45)}`,
          bytes: () =>
            http(method, `/v2/repo/blobs/uploads/${id}`, [], method === 'PATCH' ? 'x' : ''),
          status: [404, 405],
        });
      }
    }
    refuse({
      name: 'GET of none',
      bytes: () => http('GET', '/v2/repo/blobs/uploads/'),
      status: 404,
      code: 'BLOB_UPLOAD_UNKNOWN',
    });
  });

  describe('ranges', () => {
    for (const range of [
      'bytes=500-0',
      'bytes=9999999-',
      'bytes=-0',
      'bytes=',
      'bytes=-',
      'bytes=a-b',
      'bytes=1',
      'items=0-1',
      'bytes=0x1-2',
      'bytes= 1-2 3',
      'bytes=99999999999999999999-',
      'bytes:0-1',
      '0-1',
    ]) {
      refuse({
        name: `Range: ${range}`,
        bytes: () => http('GET', `/v2/repo/blobs/${pushed().config.digest}`, [`Range: ${range}`]),
        status: 416,
        code: 'RANGE_INVALID',
      });
    }
    for (const range of [
      '0-4',
      '5-9',
      '11-15',
      '20-24',
      '9-5',
      'a-b',
      'bytes',
      '-5',
      '10-',
      '10',
      '10-14-20',
      '0x0a-14',
      '10 - 14',
      '99999999999999999999-99999999999999999999',
      'bytes */5',
    ]) {
      refuse({
        name: `Content-Range: ${range} of a part`,
        bytes: () => http('PATCH', upload(), [`Content-Range: ${range}`], 'fives'),
        status: 416,
        code: 'RANGE_INVALID',
      });
      refuse({
        name: `Content-Range: ${range} of the last part`,
        bytes: () =>
          http('PUT', `${upload()}?digest=${UNKNOWN}`, [`Content-Range: ${range}`], 'fives'),
        status: 416,
        code: 'RANGE_INVALID',
      });
    }
    refuse({
      name: 'Content-Range: longer than the part',
      bytes: () => http('PATCH', upload(), ['Content-Range: 10-99'], 'fives'),
      status: 400,
      code: 'SIZE_INVALID',
    });
    refuse({
      name: 'Content-Range: shorter than the part',
      bytes: () => http('PATCH', upload(), ['Content-Range: 10-11'], 'fives'),
      status: 400,
      code: 'SIZE_INVALID',
    });
  });

  describe('paging', () => {
    for (const n of [
      '-1',
      'x',
      '1.5',
      '1e9',
      '0x10',
      '+1',
      '1%00',
      '%20',
      'NaN',
      'Infinity',
      '1,2',
      '9'.repeat(30),
    ]) {
      for (const path of ['/v2/_catalog', '/v2/repo/tags/list', `/v2/repo/referrers/${UNKNOWN}`]) {
        refuse({
          name: `${path.slice(0, 24)}?n=${n}`,
          bytes: () => http('GET', `${path}?n=${n}`),
          status: 400,
          code: 'PAGINATION_NUMBER_INVALID',
        });
      }
    }
    refuse({
      name: 'a catalog page above the limit',
      bytes: () => http('GET', '/v2/_catalog?n=1001'),
      status: 400,
      code: 'PAGINATION_NUMBER_INVALID',
    });
  });
});
