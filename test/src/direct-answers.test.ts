import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { digestOf } from '../../storage/digest.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import { DOCKER_MANIFEST, OCI_MANIFEST } from '../../storage/media-types.ts';
import { type RunningServer, serveApp } from '../support/app-server.ts';

interface Seen {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

function ask(
  url: string,
  method: string,
  headers: Record<string, string>,
  content?: string | Buffer,
): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { date = '', ...rest } = response.headers;
        // The two servers may be asked in different seconds.
        const kept = (Date.parse(rest.expires ?? '') - Date.parse(date)) / 1000;
        const headers =
          kept > 0 ? { ...rest, expires: `${Math.round(kept / 60)} minutes on` } : rest;
        const body = Buffer.concat(chunks).toString('latin1');
        resolve({ status: response.statusCode, headers, body });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(content);
  });
}

const big = Buffer.alloc(200_000, 'layer');
const config = Buffer.from(
  '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
);
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: OCI_MANIFEST,
  config: {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: digestOf(config),
    size: config.length,
  },
  layers: [
    {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: digestOf(big),
      size: big.length,
    },
  ],
});
const reference = digestOf(Buffer.from(manifest));
const missing = digestOf(Buffer.from('never pushed'));
const v1Id = 'a'.repeat(64);

const PATHS = [
  '/v2/library/app/manifests/latest',
  `/v2/library/app/manifests/${reference}`,
  '/v2/library/app/manifests/absent',
  `/v2/library/app/manifests/${missing}`,
  '/v2/library/app/manifests/-wrong-',
  '/v2/library/app/manifests/sha256:short',
  '/v2/UPPER/manifests/latest',
  `/v2/library/app/blobs/${digestOf(big)}`,
  `/v2/library/app/blobs/${digestOf(config)}`,
  `/v2/library/app/blobs/${missing}`,
  '/v2/library/app/blobs/sha256:short',
  `/v2/other/blobs/${digestOf(big)}`,
  '/v2/library/app/manifests/latest?ns=docker.io',
  `/v2/library/app/blobs/${digestOf(big)}?ns=docker.io`,
  '/v2/library/app/tags/list',
  '/v2/library/app/tags/list?n=0&last=a',
  '/v2/library/app/tags/list?n=many',
  '/v2/other/tags/list',
  '/v2/_catalog',
  '/v2/_catalog?n=1',
  '/v2/_catalog?n=1&n=2&last=library%2Fa',
  '/v2/_catalog?n=1001',
  `/v1/images/${v1Id}/json`,
  `/v1/images/${v1Id}/ancestry`,
  `/v1/images/${v1Id}/layer`,
];

const HEADERS: Record<string, string>[] = [
  {},
  { Accept: OCI_MANIFEST },
  { Accept: DOCKER_MANIFEST },
  { Accept: '*/*', 'User-Agent': 'docker/20.10.24' },
  { 'User-Agent': 'docker/1.3.0 go/go1.3' },
  { 'If-None-Match': `"${reference}"` },
  { 'If-None-Match': `"${digestOf(big)}"` },
  { 'If-Match': '"sha256:other"' },
  { Range: 'bytes=10-19' },
  { Range: 'bytes=-7' },
  { Range: 'bytes=999999999-' },
  { Range: 'bytes=10-19', 'If-Range': '"other"' },
  { Host: '' },
];

interface Step {
  method: string;
  /** Below the repository; `UPLOAD` stands for the upload that was begun last. */
  path: string;
  headers?: Record<string, string>;
  content?: string | Buffer;
  status: number;
}

const OCTETS = { 'Content-Type': 'application/octet-stream' };
const TYPED = { 'Content-Type': OCI_MANIFEST };
const sentAt = (start: number, bytes: number) => ({
  ...OCTETS,
  'Content-Range': `${start}-${start + bytes - 1}`,
});

/** A push, and what can be wrong with one. */
const STEPS: Step[] = [
  { method: 'POST', path: '/blobs/uploads/', status: 202 },
  { method: 'PATCH', path: 'UPLOAD', headers: sentAt(0, 5), content: 'first', status: 202 },
  { method: 'PATCH', path: 'UPLOAD', headers: sentAt(9, 5), content: 'wrong', status: 416 },
  { method: 'PATCH', path: 'UPLOAD', headers: sentAt(5, 9), content: 'short', status: 400 },
  { method: 'GET', path: 'UPLOAD', status: 204 },
  { method: 'PUT', path: 'UPLOAD', status: 400 },
  { method: 'POST', path: 'UPLOAD', status: 405 },
  { method: 'PUT', path: `UPLOAD?digest=${digestOf('first')}`, status: 201 },
  { method: 'GET', path: 'UPLOAD', status: 404 },
  { method: 'POST', path: '/blobs/uploads', status: 202 },
  { method: 'PUT', path: `UPLOAD?digest=${digestOf('other')}`, content: 'bytes', status: 400 },
  { method: 'POST', path: '/blobs/uploads/?digest-algorithm=sha512', status: 202 },
  { method: 'DELETE', path: 'UPLOAD', status: 204 },
  { method: 'POST', path: '/blobs/uploads/?digest-algorithm=md5', status: 400 },
  { method: 'POST', path: `/blobs/uploads/?digest=${missing}`, content: 'not that', status: 400 },
  { method: 'PUT', path: '/blobs/uploads/', status: 405 },
  { method: 'PATCH', path: '/blobs/uploads/not-an-id', content: 'x', status: 404 },
  {
    method: 'POST',
    path: `/blobs/uploads/?mount=${digestOf(big)}&from=library/app`,
    status: 201,
  },
  { method: 'POST', path: `/blobs/uploads/?mount=${missing}&from=library/app`, status: 202 },
  { method: 'PUT', path: '/manifests/v1', headers: TYPED, content: manifest, status: 400 },
  { method: 'POST', path: `/blobs/uploads/?mount=${digestOf(config)}`, status: 201 },
  { method: 'PUT', path: '/manifests/v1', headers: TYPED, content: manifest, status: 201 },
  { method: 'PUT', path: '/manifests/v1', headers: TYPED, content: '{', status: 400 },
  { method: 'PUT', path: '/manifests/-v1', headers: TYPED, content: manifest, status: 400 },
  {
    method: 'PUT',
    path: '/manifests/v1',
    headers: { ...TYPED, 'If-None-Match': '*' },
    content: manifest,
    status: 412,
  },
  {
    method: 'PUT',
    path: `/manifests/${reference}?tag=v2&tag=v3`,
    headers: TYPED,
    content: manifest,
    status: 201,
  },
  { method: 'POST', path: '/manifests/v1', status: 405 },
  { method: 'DELETE', path: '/manifests/v2', status: 202 },
  { method: 'DELETE', path: '/manifests/v2', status: 404 },
  { method: 'DELETE', path: `/blobs/${digestOf(big)}`, status: 202 },
  { method: 'DELETE', path: `/blobs/${digestOf(big)}`, status: 404 },
  { method: 'DELETE', path: '/blobs/sha256:short', status: 400 },
];

/** All steps in a repository of its own, with what must differ between two servers left out. */
async function pushed(server: RunningServer, name: string): Promise<[Step, Seen][]> {
  const seen: [Step, Seen][] = [];
  let upload = '';
  for (const step of STEPS) {
    const { method, path, headers = {}, content } = step;
    const target = path.replace('UPLOAD', upload);
    const answer = await ask(`${server.url}/v2/${name}${target}`, method, headers, content);
    const id = answer.headers['docker-upload-uuid'];
    if (method === 'POST' && typeof id === 'string') upload = `/blobs/uploads/${id}`;
    const text = JSON.stringify(answer)
      .replaceAll(upload || '\0', 'UPLOAD')
      .replaceAll(upload.slice(upload.lastIndexOf('/') + 1) || '\0', 'ID')
      .replaceAll(server.url, '')
      .replaceAll(name, 'NAME');
    seen.push([step, JSON.parse(text) as Seen]);
  }
  return seen;
}

/** The same of a V1 image, each by an ID of its own. */
async function pushedOverV1(server: RunningServer, id: string): Promise<[string, number, Seen][]> {
  const json = `{"id":"${id}"}`;
  const layer = Buffer.alloc(1024);
  const right = { 'X-Docker-Checksum-Payload': digestOf(`${json}\n${layer}`) };
  const wrong = { 'X-Docker-Checksum-Payload': digestOf('other') };
  const steps: [string, string, number, Record<string, string>?, (string | Buffer)?][] = [
    ['PUT', 'layer', 404, {}, layer],
    ['PUT', 'checksum', 404, right],
    ['PUT', 'json', 400, {}, '{'],
    ['PUT', 'json', 413, {}, ' '.repeat(3_000_000)],
    ['PUT', 'json', 200, {}, json],
    ['GET', 'json', 400],
    ['PUT', 'checksum', 400, right],
    ['PUT', 'layer', 200, {}, layer],
    ['PUT', 'checksum', 412],
    ['PUT', 'checksum', 400, wrong],
    ['PUT', 'checksum', 200, right, 'a body that nobody reads'],
    ['PUT', 'checksum', 409, right],
    ['PUT', 'json', 409, {}, json],
    ['PUT', 'layer', 409, {}, layer],
    ['GET', 'layer', 200],
    ['POST', 'layer', 405],
    ['GET', 'checksum', 405],
  ];
  const seen: [string, number, Seen][] = [];
  for (const [method, part, status, headers = {}, content] of steps) {
    const answer = await ask(`${server.url}/v1/images/${id}/${part}`, method, headers, content);
    const { etag: _, ...others } = answer.headers;
    seen.push([`${method} ${part}: ${answer.body}`, status, { ...answer, headers: others }]);
  }
  return seen;
}

describe('answers past Koa', () => {
  let direct: RunningServer;
  let byKoa: RunningServer;
  before(async () => {
    const driver = new MemoryDriver();
    const headers = { 'X-Content-Type-Options': ['nosniff'], 'Cache-Control': ['no-store'] };
    direct = await serveApp(driver, { headers });
    byKoa = await serveApp(driver, { headers, direct: false });
    for (const blob of [big, config]) {
      const url = `${direct.url}/v2/library/app/blobs/uploads/?digest=${digestOf(blob)}`;
      const pushed = await fetch(url, { method: 'POST', body: blob });
      assert.equal(pushed.status, 201);
    }
    const put = await fetch(`${direct.url}/v2/library/app/manifests/latest`, {
      method: 'PUT',
      body: manifest,
      headers: { 'Content-Type': OCI_MANIFEST },
    });
    assert.equal(put.status, 201);
    const image = `${direct.url}/v1/images/${v1Id}`;
    const json = JSON.stringify({ id: v1Id, created: '2014-01-01T00:00:00Z' });
    assert.equal((await fetch(`${image}/json`, { method: 'PUT', body: json })).status, 200);
    const empty = Buffer.alloc(1024);
    assert.equal((await fetch(`${image}/layer`, { method: 'PUT', body: empty })).status, 200);
    const { createHash } = await import('node:crypto');
    const payload = createHash('sha256').update(`${json}\n`).update(empty).digest('hex');
    const sum = { 'X-Docker-Checksum-Payload': `sha256:${payload}` };
    const done = await fetch(`${image}/checksum`, { method: 'PUT', headers: sum });
    assert.equal(done.status, 200);
    const tag = `${direct.url}/v1/repositories/library/old/tags/latest`;
    assert.equal((await fetch(tag, { method: 'PUT', body: JSON.stringify(v1Id) })).status, 200);
  });
  after(async () => {
    await direct.stop();
    await byKoa.stop();
  });

  for (const method of ['GET', 'HEAD']) {
    for (const path of PATHS) {
      it(`${method} ${path} is answered as by Koa, whatever the headers`, async () => {
        for (const headers of HEADERS) {
          const [one, other] = await Promise.all(
            [direct, byKoa].map((server) => ask(server.url + path, method, headers)),
          );
          assert.deepEqual(one, other, JSON.stringify(headers));
          assert.equal(one?.headers['x-content-type-options'], 'nosniff');
        }
      });
    }
  }

  it('takes pushes of V1 images, and refuses what is wrong with them, as by Koa', async () => {
    const one = await pushedOverV1(direct, 'd'.repeat(64));
    const other = await pushedOverV1(byKoa, 'e'.repeat(64));
    for (const [at, [about, status, answer]] of one.entries()) {
      assert.equal(answer.status, status, about);
      assert.deepEqual(answer, other[at]?.[2], about);
      assert.equal(answer.headers['x-content-type-options'], 'nosniff', about);
    }
  });

  it('takes pushes, and refuses what is wrong with them, as by Koa', async () => {
    const one = await pushed(direct, 'past/koa');
    const other = await pushed(byKoa, 'over/koa');
    for (const [at, [step, answer]] of one.entries()) {
      const about = `${step.method} ${step.path}: ${answer.body}`;
      assert.equal(answer.status, step.status, about);
      assert.deepEqual(answer, other[at]?.[1], about);
      assert.equal(answer.headers['x-content-type-options'], 'nosniff', about);
    }
  });
});
