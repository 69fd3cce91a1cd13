import { describe, it } from 'node:test';
import type { UrlPolicy } from '../../../protocols/registry.ts';
import { check, headerOf, send } from '../../support/http-row.ts';
import { digest, image, Pusher } from '../../support/oci-content.ts';
import { startServer } from '../../support/server.ts';

interface Row {
  name: string;
  policy?: Partial<UrlPolicy>;
  headers?: Record<string, string>;
  /** What stands before `/v2/…` in every Location. */
  base: string;
}

const rows: Row[] = [
  { name: 'the Host header', headers: { host: 'r.test:5000' }, base: 'http://r.test:5000' },
  { name: 'an IPv6 Host', headers: { host: '[::1]:5000' }, base: 'http://[::1]:5000' },
  {
    name: 'X-Forwarded-Proto and -Host, as nginx sets them',
    headers: { host: 'inner', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'r.test' },
    base: 'https://r.test',
  },
  {
    name: 'X-Forwarded-Proto alone keeps the Host',
    headers: { host: 'r.test', 'x-forwarded-proto': 'https' },
    base: 'https://r.test',
  },
  {
    name: 'the first of several X-Forwarded values',
    headers: {
      host: 'inner',
      'x-forwarded-proto': 'https, http',
      'x-forwarded-host': 'first.test, second.test',
    },
    base: 'https://first.test',
  },
  {
    name: 'Forwarded wins over X-Forwarded',
    headers: {
      host: 'inner',
      forwarded: 'for=1.2.3.4;proto=https;host="r.test:8443", for=5.6.7.8;host=other',
      'x-forwarded-host': 'loses',
      'x-forwarded-proto': 'http',
    },
    base: 'https://r.test:8443',
  },
  {
    name: 'Forwarded without a host keeps the Host',
    headers: { host: 'r.test', forwarded: 'for=1.2.3.4; Proto=HTTPS' },
    base: 'https://r.test',
  },
  {
    name: 'a scheme that is none is http',
    headers: { host: 'r.test', 'x-forwarded-proto': 'javascript' },
    base: 'http://r.test',
  },
  {
    name: 'a forwarded host that is none leads to a relative address',
    headers: { host: 'r.test', 'x-forwarded-host': 'evil.test/path?' },
    base: '',
  },
  {
    name: 'http.host wins over everything',
    policy: { host: 'https://public.test' },
    headers: { host: 'inner', forwarded: 'host=loses', 'x-forwarded-host': 'loses' },
    base: 'https://public.test',
  },
  {
    name: 'http.host with a slash',
    policy: { host: 'https://public.test/' },
    base: 'https://public.test',
  },
  { name: 'http.relativeurls', policy: { relative: true }, headers: { host: 'r.test' }, base: '' },
  {
    name: 'http.prefix',
    policy: { prefix: '/foo' },
    headers: { host: 'r.test' },
    base: 'http://r.test/foo',
  },
  {
    name: 'http.prefix and http.relativeurls',
    policy: { prefix: '/foo/bar', relative: true },
    base: '/foo/bar',
  },
  {
    name: 'http.prefix and http.host',
    policy: { prefix: '/foo', host: 'https://public.test' },
    base: 'https://public.test/foo',
  },
  {
    name: 'http.prefix that stands in http.host as well',
    policy: { prefix: '/foo', host: 'https://public.test/foo' },
    base: 'https://public.test/foo',
  },
];

describe('addresses in answers', () => {
  for (const { name, policy = {}, headers = {}, base } of rows) {
    it(name, async () => {
      const server = await startServer({ urls: policy });
      try {
        const root = server.url + (policy.prefix ?? '');
        const content = Buffer.from('content');
        const of = digest(content);
        const opened = await send(`${root}/v2/a/b/blobs/uploads/`, { method: 'POST', headers });
        const upload = headerOf(opened, 'location');
        const id = upload.slice(upload.lastIndexOf('/'));
        check(opened, {
          status: 202,
          headers: { location: `${base}/v2/a/b/blobs/uploads${id}` },
        });
        const url = `${root}/v2/a/b/blobs/uploads${id}?digest=${of}`;
        check(await send(url, { method: 'PUT', headers, body: content }), {
          status: 201,
          headers: { location: `${base}/v2/a/b/blobs/${of}` },
        });
        check(await send(`${root}/v2/a/b/blobs/${of}`), { status: 200, body: content });
      } finally {
        await server.close();
      }
    });
  }

  it('a prefix holds every route, and Links and redirects keep it', async () => {
    const server = await startServer({ urls: { prefix: '/foo' } });
    try {
      const push = new Pusher(() => `${server.url}/foo`);
      const pushed = await push.image('repo', image(), 'a');
      await push.manifest('repo', pushed, 'b');
      check(await send(`${server.url}/foo/v2/`), { status: 200, body: '{}' });
      check(await send(`${server.url}/foo/v2`), { status: 301, headers: { location: '/foo/v2/' } });
      check(await send(`${server.url}/foo/v2//repo/tags/list`), {
        status: 301,
        headers: { location: '/foo/v2/repo/tags/list' },
      });
      check(await send(`${server.url}/foo/v2/repo/tags/list?n=1`), {
        status: 200,
        headers: { link: '</foo/v2/repo/tags/list?last=a&n=1>; rel="next"' },
      });
      const outside = { status: 404, headers: { 'docker-distribution-api-version': null } };
      check(await send(`${server.url}/v2/`), outside);
      check(await send(`${server.url}/foobar/v2/`), outside);
      check(await send(`${server.url}/`), { status: 200, body: '' });
    } finally {
      await server.close();
    }
  });
});
