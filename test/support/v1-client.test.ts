import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { makeV1Chain } from './images.ts';
import { V1Client } from './v1-client.ts';
import { ENGINE_VERSIONS } from './v1-engine.ts';

/** The least that lets every engine push and pull; `change` lets a test spoil one answer. */
class TinyRegistry {
  readonly files = new Map<string, Buffer>();
  readonly log: { line: string; headers: IncomingMessage['headers'] }[] = [];
  change: (line: string, response: ServerResponse) => boolean = () => false;

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const line = `${request.method} ${request.url}`;
    this.log.push({ line, headers: request.headers });
    if (this.change(line, response)) return;
    const path = (request.url ?? '').replace('/repositories/library/', '/repositories/');
    if (path === '/v1/_ping') response.setHeader('x-docker-registry-version', '1').end('{}');
    else if (path.startsWith('/v1/users/')) this.#user(request, response);
    else if (path.startsWith('/v1/search')) {
      const results = [{ name: 'team/app', description: '' }];
      response.end(JSON.stringify({ query: 'app', num_results: 1, results }));
    } else if (path.startsWith('/v2/')) response.writeHead(404).end('404 page not found');
    else if (request.method === 'PUT') this.#put(path, body, request, response);
    else this.#get(path, request, response);
  }

  #user(request: IncomingMessage, response: ServerResponse): void {
    const known = request.headers.authorization === `Basic ${btoa('user:secret')}`;
    response.writeHead(request.method === 'GET' && known ? 200 : 401).end('{}');
  }

  #put(path: string, body: Buffer, request: IncomingMessage, response: ServerResponse): void {
    const id = path.split('/')[3] ?? '';
    if (path.endsWith('/json')) this.files.set(`${id}.json`, body);
    else if (path.endsWith('/layer')) this.files.set(`${id}.layer`, body);
    else if (path.includes('/tags/')) this.files.set('tag', body);
    else if (path.endsWith('/checksum')) {
      const sum = request.headers['x-docker-checksum-payload'];
      const hash = createHash('sha256').update(this.files.get(`${id}.json`) ?? '');
      const right = hash
        .update('\n')
        .update(this.files.get(`${id}.layer`) ?? '')
        .digest('hex');
      response.statusCode = sum === undefined || sum === `sha256:${right}` ? 200 : 400;
    } else if (path.endsWith('/images')) response.statusCode = 204;
    else this.files.set('list', body);
    response.setHeader('x-docker-token', 'signature=S,repository="team/app",access=write');
    response.setHeader('x-docker-endpoints', request.headers.host ?? '');
    response.end();
  }

  #get(path: string, request: IncomingMessage, response: ServerResponse): void {
    const id = path.split('/')[3] ?? '';
    const json = this.files.get(`${id}.json`);
    if (path.endsWith('/images')) {
      response.setHeader('x-docker-endpoints', request.headers.host ?? '');
      response.end(this.files.get('list'));
    } else if (path.endsWith('/tags')) response.end(`{"v1": ${this.files.get('tag')}}`);
    else if (path.endsWith('/tags/v1')) response.end(this.files.get('tag'));
    else if (json === undefined) response.writeHead(404).end('{"error": "Image not found"}');
    else if (path.endsWith('/ancestry')) response.end(JSON.stringify(this.#ancestry(id)));
    else if (path.endsWith('/json')) {
      response.setHeader('x-docker-size', this.files.get(`${id}.layer`)?.length ?? 0).end(json);
    } else this.#layer(this.files.get(`${id}.layer`) ?? Buffer.alloc(0), request, response);
  }

  #layer(bytes: Buffer, request: IncomingMessage, response: ServerResponse): void {
    response.setHeader('accept-ranges', 'bytes');
    const from = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (from === null) response.setHeader('content-length', bytes.length).end(bytes);
    else {
      assert.equal(Number(from[2]), bytes.length);
      const rest = bytes.subarray(Number(from[1]));
      response.writeHead(206, { 'content-length': rest.length }).end(rest);
    }
  }

  #ancestry(id: string): string[] {
    const { parent } = JSON.parse(String(this.files.get(`${id}.json`))) as { parent?: string };
    return parent === undefined ? [id] : [id, ...this.#ancestry(parent)];
  }
}

describe('the V1 client', () => {
  let registry = new TinyRegistry();
  let server: Server;
  let url = '';

  before(async () => {
    server = createServer((request, response) => {
      registry.answer(request, response).catch(() => response.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    registry = new TinyRegistry();
  });
  after(() => server.close());

  for (const version of ENGINE_VERSIONS) {
    it(`pushes as docker ${version} and pulls the same bytes`, async () => {
      const chain = makeV1Chain({ seed: 1, layers: 4 });
      const client = new V1Client(url, version);
      const report = await client.push('team/app', 'v1', chain);
      assert.deepEqual(
        report.uploaded,
        chain.map((image) => image.id),
      );
      const pulled = await client.pull('team/app', 'v1');
      for (const [n, image] of pulled.images.entries()) {
        assert.deepEqual(image.json, chain[n]?.json);
        assert.deepEqual(image.layer, chain[n]?.layer);
      }
    });
  }

  it('sends one connection a request, the token, and the engine as its agent', async () => {
    await new V1Client(url).push('team/app', 'v1', makeV1Chain({ seed: 1, layers: 1 }));
    const of = (line: string) => registry.log.find((entry) => entry.line.startsWith(line))?.headers;
    assert.equal(of('GET /v2/')?.['user-agent'], 'Go 1.1 package http');
    assert.equal(of('PUT /v1/repositories/team/app/')?.authorization, 'Basic Og==');
    assert.equal(of('PUT /v1/repositories/team/app/')?.['x-docker-token'], 'true');
    const layer = of('PUT /v1/images/');
    assert.match(layer?.['user-agent'] ?? '', /^docker\/1\.5\.0 go\/go1\.4/);
    assert.equal(layer?.authorization, 'Token signature=S,repository="team/app",access=write');
    assert.ok(registry.log.every((entry) => entry.headers.connection === 'close'));
  });

  it('resumes a cut layer with a range that ends one past the last byte', async () => {
    const chain = makeV1Chain({ seed: 2, layers: 2 });
    const client = new V1Client(url);
    await client.push('team/app', 'v1', chain);
    const pulled = await client.pull('team/app', 'v1', { cutAfter: 100 });
    assert.equal(pulled.resumed, 2);
    assert.deepEqual(pulled.images[1]?.layer, chain[1]?.layer);
  });

  it('asks for the tags of a bare name under library/', async () => {
    const client = new V1Client(url);
    await client.push('app', 'v1', makeV1Chain({ seed: 3, layers: 1 }));
    await client.pull('app', 'v1');
    const lines = registry.log.map((entry) => entry.line);
    assert.ok(lines.includes('PUT /v1/repositories/app/tags/v1'));
    assert.ok(lines.includes('GET /v1/repositories/app/images'));
    assert.ok(lines.includes('GET /v1/repositories/library/app/tags'));
  });

  const spoiled: [string, string, (response: ServerResponse) => void, RegExp][] = [
    [
      'a V2 header',
      'GET /v1/_ping',
      (r) => r.setHeader('docker-distribution-api-version', 'registry/2.0').end(),
      /docker-distribution-api-version/,
    ],
    [
      'no endpoints',
      'PUT /v1/repositories/team/app/',
      (r) => r.setHeader('x-docker-token', 'x').end(),
      /any endpoints/,
    ],
    [
      'no token',
      'PUT /v1/repositories/team/app/',
      (r) => r.setHeader('x-docker-endpoints', 'x').end(),
      /access token/,
    ],
    [
      '200 for 204',
      'PUT /v1/repositories/team/app/images',
      (r) => r.setHeader('x-docker-token', 'x').setHeader('x-docker-endpoints', 'x').end(),
      /HTTP 200/,
    ],
    [
      '/v2/ that looks like V2',
      'GET /v2/',
      (r) => r.setHeader('docker-distribution-api-version', 'registry/2.0').end(),
      /was shown V2/,
    ],
  ];
  for (const [what, line, spoil, message] of spoiled) {
    it(`refuses ${what} in answer to ${line}`, async () => {
      registry.change = (seen, response) => {
        if (seen === line) spoil(response);
        return seen === line;
      };
      const push = new V1Client(url).push('team/app', 'v1', makeV1Chain({ seed: 4, layers: 1 }));
      await assert.rejects(push, message);
    });
  }

  it('registers before it logs in as old engines do, and takes a 401 to that as the cue', async () => {
    const credentials = { username: 'user', password: 'secret' };
    const client = (version: '1.5.0' | '1.13.1') => new V1Client(url, version).login(credentials);
    assert.equal(await client('1.5.0'), 'Login Succeeded');
    assert.equal(await client('1.13.1'), 'Login Succeeded');
    const lines = registry.log.map((entry) => entry.line).filter((line) => line.includes('users'));
    assert.deepEqual(lines, ['POST /v1/users/', 'GET /v1/users/', 'GET /v1/users/']);
    const wrong = new V1Client(url).login({ username: 'user', password: 'guess' });
    await assert.rejects(wrong, /Wrong login/);
  });

  it('searches, with a count from 1.12 on', async () => {
    for (const version of ['1.5.0', '1.13.1'] as const) {
      const found = await new V1Client(url, version).search('app');
      assert.deepEqual(
        found.map(({ name }) => name),
        ['team/app'],
      );
    }
    const lines = registry.log.map((entry) => entry.line).filter((line) => line.includes('search'));
    assert.deepEqual(lines, ['GET /v1/search?q=app', 'GET /v1/search?q=app&n=25']);
  });

  it('has its wrong checksum refused', async () => {
    const chain = makeV1Chain({ seed: 5, layers: 1 });
    const push = new V1Client(url).push('team/app', 'v1', chain, { badChecksum: true });
    await assert.rejects(push, /checksum.*HTTP 400/);
  });
});
