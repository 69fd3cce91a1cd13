import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { check, errorsOf, headerOf, send, sendRaw } from '../../support/http-row.ts';
import { type Image, image, OCI_INDEX, OCI_MANIFEST, Pusher } from '../../support/oci-content.ts';
import { useServer } from '../../support/server.ts';
import { snapshot } from '../../support/snapshot.ts';

interface Refusal {
  name: string;
  /** The bytes that are sent. */
  bytes: () => string | Buffer;
  status: number | number[];
  code?: string | string[];
}

/** More than this for a refusal would let a client stall the server, in milliseconds. */
const QUICK_MS = 2000;
const HEX = 'a'.repeat(64);
const UNKNOWN = `sha256:${HEX}`;

describe('malformed requests', () => {
  const server = useServer();
  let pushed: Image;
  let upload = '';
  let stored: Record<string, string> = {};
  let rows = 0;

  before(async () => {
    const push = new Pusher(() => server.url);
    pushed = await push.image('repo', image(), 'latest');
    const opened = await send(await push.open('repo'), { method: 'PATCH', body: 'ten bytes.' });
    upload = new URL(headerOf(opened, 'location')).pathname;
    stored = await snapshot(server.driver);
  });

  after(() => assert.ok(rows >= 200, `only ${rows} rows`));

  const refuse = (row: Refusal): void => {
    rows += 1;
    it(row.name, async () => {
      const answer = await sendRaw(server.port, row.bytes());
      check(answer, { status: row.status, ...(row.code && { code: row.code }) });
      assert.ok(answer.status >= 400 && answer.status < 500);
      assert.equal(answer.headers['content-type'], 'application/json');
      errorsOf(answer);
      assert.ok(answer.ms < QUICK_MS, `took ${answer.ms} ms`);
      assert.deepEqual(await snapshot(server.driver), stored);
    });
  };

  /** A request as it goes over the wire; `headers` are whole lines. */
  const http = (
    method: string,
    target: string,
    headers: string[] = [],
    body: string | Buffer = '',
  ): Buffer => {
    const length = body.length > 0 ? [`Content-Length: ${Buffer.byteLength(body)}`] : [];
    const head = [`${method} ${target} HTTP/1.1`, 'Host: r.test', ...length, ...headers];
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), Buffer.from(body)]);
  };
  const raw = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;

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
      row('to finish an upload', () => http('PUT', `${upload}?digest=${digest}`));
      row('of a whole upload', () =>
        http('POST', `/v2/repo/blobs/uploads/?digest=${digest}`, [], 'x'),
      );
    }
    refuse({
      name: 'no digest',
      bytes: () => http('PUT', upload),
      status: 400,
      code: 'DIGEST_INVALID',
    });
    refuse({
      name: 'an empty digest',
      bytes: () => http('PUT', `${upload}?digest=`),
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
          http('PUT', `/v2/repo/manifests/${tag}`, [`Content-Type: ${OCI_MANIFEST}`], pushed.bytes),
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
            `/v2/repo/manifests/${pushed.digest}?tag=ok&tag=${tag.replace('+', '%2B')}`,
            [`Content-Type: ${OCI_MANIFEST}`],
            pushed.bytes,
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
          `/v2/repo/manifests/${pushed.digest}?${'tag=a&'.repeat(101)}`,
          [`Content-Type: ${OCI_MANIFEST}`],
          pushed.bytes,
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
        bytes: () => http('GET', `/v2/repo/blobs/${pushed.config.digest}`, [`Range: ${range}`]),
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
        bytes: () => http('PATCH', upload, [`Content-Range: ${range}`], 'fives'),
        status: 416,
        code: 'RANGE_INVALID',
      });
      refuse({
        name: `Content-Range: ${range} of the last part`,
        bytes: () =>
          http('PUT', `${upload}?digest=${UNKNOWN}`, [`Content-Range: ${range}`], 'fives'),
        status: 416,
        code: 'RANGE_INVALID',
      });
    }
    refuse({
      name: 'Content-Range: longer than the part',
      bytes: () => http('PATCH', upload, ['Content-Range: 10-99'], 'fives'),
      status: 400,
      code: 'SIZE_INVALID',
    });
    refuse({
      name: 'Content-Range: shorter than the part',
      bytes: () => http('PATCH', upload, ['Content-Range: 10-11'], 'fives'),
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

  describe('manifests', () => {
    const put = (name: string, body: string | Buffer, type = OCI_MANIFEST): void =>
      refuse({
        name,
        bytes: () =>
          http('PUT', '/v2/repo/manifests/bad', type === '' ? [] : [`Content-Type: ${type}`], body),
        status: 400,
        code: ['MANIFEST_INVALID', 'MANIFEST_BLOB_UNKNOWN'],
      });
    const of = (fields: Record<string, unknown>): string =>
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: 'a/b', digest: UNKNOWN, size: 1 },
        layers: [],
        ...fields,
      });
    const descriptor = { mediaType: 'a/b', digest: UNKNOWN, size: 1 };

    for (const body of [
      ' ',
      'null',
      'true',
      '1',
      '"text"',
      '[]',
      '[{}]',
      '{',
      '{}',
      '{"a":1}}',
      "{'a':1}",
      '{"schemaVersion":2,}',
      '\u0000',
      'blablabla',
      '<xml/>',
      '\ufeff{}',
      '{"schemaVersion":2}{"schemaVersion":2}',
      'NaN',
      '{"schemaVersion":02}',
    ]) {
      put(`the body ${JSON.stringify(body)}`, body);
    }
    put(
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
    );
    put('UTF-16', Buffer.from(of({}), 'utf16le'));
    put('lists nested 100,000 deep', '['.repeat(100_000));
    put('objects nested 1,000 deep', `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`);
    put(
      'nesting in a field that nobody reads',
      of({ extra: JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`) }),
    );
    for (const version of [0, 1, 3, '2', null, [2], 2.5]) {
      put(`schemaVersion ${JSON.stringify(version)}`, of({ schemaVersion: version }));
    }
    put('no schemaVersion', of({ schemaVersion: undefined }));
    put('no config', of({ config: undefined }));
    for (const config of [
      null,
      [],
      'x',
      {},
      { ...descriptor, digest: 'sha256:x' },
      { ...descriptor, digest: 7 },
      { ...descriptor, digest: '../../etc/passwd' },
      { ...descriptor, size: -1 },
      { ...descriptor, size: '1' },
      { ...descriptor, size: 1e30 },
      { ...descriptor, size: undefined },
      { ...descriptor, mediaType: 7 },
      { ...descriptor, urls: 'x' },
      { ...descriptor, urls: [7] },
      { ...descriptor, annotations: { a: 1 } },
    ]) {
      put(`config ${JSON.stringify(config)}`.slice(0, 90), of({ config }));
    }
    for (const layers of [
      'x',
      {},
      [null],
      ['x'],
      [{}],
      [[descriptor]],
      [{ ...descriptor, digest: 'md5:00' }],
    ]) {
      put(`layers ${JSON.stringify(layers)}`.slice(0, 90), of({ layers }));
    }
    put('no layers field', of({ layers: undefined }));
    put('a subject that is no descriptor', of({ subject: 'sha256:abc' }));
    put('annotations that are no map of strings', of({ annotations: { a: 1 } }));
    put('annotations that are a list', of({ annotations: [{}] }));
    put('an artifactType that is no string', of({ artifactType: 7 }));
    put('an image that is an index too', of({ manifests: [] }));
    put('an index that is an image too', of({ mediaType: OCI_INDEX, manifests: [] }), OCI_INDEX);
    put(
      'an index that is an image too, to clients that fold case',
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], Layers: [] }),
      OCI_INDEX,
    );
    put('a mediaType in another case', of({ mediaType: undefined, mediatype: OCI_INDEX }));
    put('a config in another case', of({ CONFIG: descriptor }));
    put('another mediaType than the header says', of({}), OCI_INDEX);
    put('a mediaType that is no string', of({ mediaType: 7 }));
    put('an unknown Content-Type', of({}), 'application/vnd.example+json');
    put('a Content-Type that is none', of({}), ';;;');
    put('text/plain', of({}), 'text/plain');
    put('octets', of({}), 'application/octet-stream');
    put('missing blobs', of({}));
    put(
      'a missing child',
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [descriptor] }),
      OCI_INDEX,
    );
    put(
      'a blob as a child',
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [{ ...descriptor, digest: `sha256:${HEX}` }],
      }),
      OCI_INDEX,
    );
    for (const url of [
      'ftp://x/y',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'http://x/#y',
      'nonsense',
      '',
    ]) {
      put(
        `a layer at ${url}`,
        of({
          layers: [
            {
              ...descriptor,
              mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
              urls: [url],
            },
          ],
        }),
      );
    }
    put('no body', '');
    refuse({
      name: 'a body above the limit',
      bytes: () =>
        http('PUT', '/v2/repo/manifests/bad', [
          `Content-Type: ${OCI_MANIFEST}`,
          `Content-Length: ${5 << 20}`,
        ]),
      status: 413,
      code: 'MANIFEST_INVALID',
    });
    refuse({
      name: 'another digest than that of the body',
      bytes: () =>
        http('PUT', `/v2/repo/manifests/${UNKNOWN}`, [`Content-Type: ${OCI_MANIFEST}`], of({})),
      status: 400,
      code: 'DIGEST_INVALID',
    });
  });

  describe('methods', () => {
    const tries: [string, string, number][] = [
      ['POST', '/v2/_catalog', 405],
      ['DELETE', '/v2/_catalog', 405],
      ['PUT', '/v2/repo/tags/list', 405],
      ['POST', '/v2/repo/manifests/latest', 405],
      ['PATCH', '/v2/repo/manifests/latest', 405],
      ['PUT', `/v2/repo/blobs/${UNKNOWN}`, 405],
      ['POST', `/v2/repo/blobs/${UNKNOWN}`, 405],
      ['DELETE', '/v2/repo/blobs/uploads/', 405],
      ['PUT', '/v2/repo/blobs/uploads/', 405],
      ['DELETE', `/v2/repo/referrers/${UNKNOWN}`, 405],
      ['TRACE', '/v2/repo/tags/list', 405],
      ['PROPFIND', '/v2/repo/tags/list', 405],
      ['BREW', '/v2/repo/tags/list', 400],
      ['get', '/v2/repo/tags/list', 400],
      ['G\u0000T', '/v2/repo/tags/list', 400],
      ['', '/v2/repo/tags/list', 400],
      ['CONNECT', 'example.com:443', 405],
    ];
    for (const [method, path, status] of tries) {
      refuse({ name: `${method} ${path.slice(0, 40)}`, bytes: () => http(method, path), status });
    }
  });

  describe('smuggling shapes', () => {
    const target = '/v2/repo/blobs/uploads/';
    const post = (
      name: string,
      headers: string[],
      body = '',
      status: number | number[] = 400,
    ): void =>
      refuse({
        name,
        bytes: () => `${raw(`POST ${target} HTTP/1.1`, 'Host: r.test', ...headers)}${body}`,
        status,
      });

    post(
      'Content-Length and Transfer-Encoding',
      ['Content-Length: 5', 'Transfer-Encoding: chunked'],
      '0\r\n\r\n',
    );
    post(
      'Transfer-Encoding and Content-Length',
      ['Transfer-Encoding: chunked', 'Content-Length: 5'],
      '0\r\n\r\n',
    );
    post('two Content-Lengths that differ', ['Content-Length: 5', 'Content-Length: 6'], 'hello!');
    post('two Content-Lengths that agree', ['Content-Length: 5', 'Content-Length: 5'], 'hello');
    post('a list of Content-Lengths', ['Content-Length: 5, 5'], 'hello');
    for (const length of [
      '-1',
      '+5',
      '5.0',
      '0x5',
      '5 5',
      'five',
      '5;',
      '99999999999999999999999',
      '',
    ]) {
      post(`Content-Length: ${length}`, [`Content-Length: ${length}`], 'hello');
    }
    for (const coding of [
      'gzip',
      'gzip, chunked',
      'chunked, gzip',
      'xchunked',
      'chunked, chunked',
      'identity, chunked',
      '"chunked"',
      'chunked;q=1',
    ]) {
      post(`Transfer-Encoding: ${coding}`, [`Transfer-Encoding: ${coding}`], '0\r\n\r\n');
    }
    post('a header name with a space', ['Transfer-Encoding : chunked'], '0\r\n\r\n');
    post('a header without a colon', ['Transfer-Encoding chunked']);
    post('a header without a name', [': value']);
    post('a header name with a control character', ['X\u0001Y: value']);
    post('a header value with NUL', ['X-Y: a\u0000b']);
    post('a header value with a bare CR', ['X-Y: a\rTransfer-Encoding: chunked']);
    post(
      'a folded Transfer-Encoding',
      ['Transfer-Encoding:', ' chunked', 'Content-Length: 5'],
      '0\r\n\r\n',
    );
    post(
      'a folded Transfer-Encoding after a Content-Length',
      ['Content-Length: 5', 'Transfer-Encoding:', '\tchunked'],
      '0\r\n\r\n',
    );
    post(
      'a Transfer-Encoding folded in the middle',
      ['Transfer-Encoding: chun', ' ked'],
      '0\r\n\r\n',
    );
    post('a folded Content-Length', ['Content-Length: 1', ' 0'], '0123456789');
    post('two Hosts', ['Host: other.test']);
    post('an expectation that nobody knows', ['Expect: 200-maybe'], '', 417);
    refuse({ name: 'no Host', bytes: () => raw(`POST ${target} HTTP/1.1`), status: 400 });
    refuse({
      name: 'a folded first header',
      bytes: () => raw(`POST ${target} HTTP/1.1`, ' Host: r.test'),
      status: 400,
    });
    for (const chunk of [
      'z\r\n',
      '-1\r\nx\r\n',
      '0x5\r\nhello\r\n',
      '5\nhello\r\n',
      '5\r\nhelloXX',
      'fffffffffffffffff\r\nx',
      '5;a="\u0000"\r\nhello\r\n',
      ' 5\r\nhello\r\n',
      '5 \r\nhello\r\n',
    ]) {
      refuse({
        name: `the chunk ${JSON.stringify(chunk)}`,
        bytes: () =>
          `${raw(`PUT /v2/repo/manifests/bad HTTP/1.1`, 'Host: r.test', `Content-Type: ${OCI_MANIFEST}`, 'Transfer-Encoding: chunked')}${chunk}0\r\n\r\n`,
        status: 400,
      });
    }
  });

  describe('what is no request', () => {
    const garbage: [string, string | Buffer, number | number[]][] = [
      ['a TLS greeting', Buffer.from('16030100a5010000a10303', 'hex'), 400],
      ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 405]],
      ['SSH', 'SSH-2.0-OpenSSH_9.0\r\n\r\n', 400],
      ['random bytes', Buffer.from('00ff10a3b1c2d3', 'hex'), 400],
      ['HTTP/0.9', 'GET /v2/\r\n\r\n', 400],
      ['HTTP/3.0', 'GET /v2/ HTTP/3.0\r\nHost: r.test\r\n\r\n', 400],
      ['HTTP/1.x', 'GET /v2/ HTTP/1.x\r\nHost: r.test\r\n\r\n', 400],
      ['a target with a space', 'GET /v2/ repo HTTP/1.1\r\nHost: r.test\r\n\r\n', 400],
      [
        'a target with raw bytes above ASCII',
        Buffer.from('GET /v2/r\xe9po/tags/list HTTP/1.1\r\nHost: r.test\r\n\r\n', 'latin1'),
        400,
      ],
      [
        'a target with a control character',
        'GET /v2/r\u0007po/tags/list HTTP/1.1\r\nHost: r.test\r\n\r\n',
        400,
      ],
      [
        'a header of 100 KiB',
        raw('GET /v2/ HTTP/1.1', 'Host: r.test', `X: ${'x'.repeat(100 << 10)}`),
        431,
      ],
      [
        '5,000 headers',
        raw(
          'GET /v2/ HTTP/1.1',
          'Host: r.test',
          ...Array.from({ length: 5000 }, (_, at) => `X-${at}: x`),
        ),
        431,
      ],
      [
        'a request line of 100 KiB',
        raw(`GET /v2/${'a'.repeat(100 << 10)} HTTP/1.1`, 'Host: r.test'),
        431,
      ],
      [
        'a query of 100 KiB',
        raw(`GET /v2/_catalog?last=${'a'.repeat(100 << 10)} HTTP/1.1`, 'Host: r.test'),
        431,
      ],
    ];
    for (const [name, bytes, status] of garbage) refuse({ name, bytes: () => bytes, status });
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
    assert.deepEqual(await snapshot(server.driver), stored);
  });

  it('takes an escaped slash for a slash', async () => {
    const answer = await sendRaw(server.port, http('GET', '/v2%2Frepo%2Ftags%2Flist'));
    check(answer, { status: 200, json: { name: 'repo', tags: ['latest'] } });
  });

  it('serves the next client as if nothing had been', async () => {
    const answer = await send(`${server.url}/v2/repo/manifests/latest`);
    check(answer, { status: 200, body: pushed.bytes });
    check(await send(server.url + upload), { status: 204, headers: { range: '0-9' } });
    assert.deepEqual(server.failures, []);
  });
});
