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

function ask(url: string, method: string, headers: Record<string, string>): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { date: _, ...rest } = response.headers;
        const body = Buffer.concat(chunks).toString('latin1');
        resolve({ status: response.statusCode, headers: rest, body });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
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

describe('pulls past Koa', () => {
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
});
