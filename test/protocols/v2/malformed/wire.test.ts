import { describe } from 'node:test';
import { OCI_MANIFEST } from '../../../support/oci-content.ts';
import { UNKNOWN, useRefusals } from '../../../support/refusals.ts';

describe('malformed HTTP', () => {
  const { refuse, http, raw } = useRefusals(70);

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
});
