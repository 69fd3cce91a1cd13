import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Diagnosis } from '../../../src/doctor/finding.ts';
import { checkUrl } from '../../../src/doctor/remote-checks.ts';
import { limitRequests } from '../../../src/limits.ts';
import { MemoryDriver } from '../../../storage/drivers/memory.ts';
import { storageError } from '../../../storage/errors.ts';
import { type RunningServer, serve, serveApp } from '../../support/app-server.ts';
import { freePort } from '../../support/free-port.ts';
import { makeCertificate } from '../../support/self-signed.ts';
import { V2Client } from '../../support/v2-client.ts';

/** How a proxy in front mistreats what passes. */
interface Mischief {
  host?: string;
  drop?: string[];
  date?: string;
  maxBody?: number;
  only?: string;
  /** Every second request goes there instead. */
  other?: string;
}

let passed = 0;

function proxy(upstream: string, mischief: Mischief = {}, forwarded: Record<string, string> = {}) {
  return (request: IncomingMessage, response: ServerResponse) => {
    passed += 1;
    const { maxBody, only, other } = mischief;
    if (maxBody !== undefined && Number(request.headers['content-length'] ?? 0) > maxBody)
      return void response.writeHead(413).end('too large');
    if (only !== undefined && !request.url?.startsWith(only))
      return void response.writeHead(404, { Server: 'nginx' }).end();
    const base = other !== undefined && passed % 2 === 0 ? other : upstream;
    const headers = {
      ...request.headers,
      ...forwarded,
      ...(mischief.host && { host: mischief.host }),
    };
    const sent = httpRequest(
      `${base}${request.url}`,
      { method: request.method ?? 'GET', headers },
      (answer) => {
        const passOn: Record<string, string | string[] | undefined> = {
          ...answer.headers,
          ...(mischief.date && { date: mischief.date }),
        };
        for (const name of mischief.drop ?? []) delete passOn[name];
        response.writeHead(answer.statusCode ?? 500, passOn);
        answer.pipe(response);
      },
    );
    request.pipe(sent);
  };
}

describe('isthmus doctor URL', () => {
  let registry: RunningServer;
  let folder: string;
  let driver: MemoryDriver;
  const servers: { stop(): Promise<void> }[] = [];

  before(async () => {
    driver = new MemoryDriver();
    registry = await serveApp(driver);
    folder = await mkdtemp(join(tmpdir(), 'isthmus-doctor-'));
  });
  after(async () => {
    await registry.stop();
    await rm(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const each of servers.splice(0)) await each.stop();
  });

  async function through(mischief: Mischief): Promise<string> {
    const server = await serve(proxy(registry.url, mischief));
    servers.push(server);
    return server.url;
  }

  async function throughTls(options: ServerOptions, forwarded: Record<string, string>) {
    const files = makeCertificate(folder);
    const [cert, key] = await Promise.all([readFile(files.certificate), readFile(files.key)]);
    const server = createTlsServer({ cert, key, ...options }, proxy(registry.url, {}, forwarded));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push({
      stop: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** What of the findings is not fine. */
  function bad(found: Diagnosis[]): Diagnosis[] {
    return found.filter(({ verdict }) => verdict === 'problem' || verdict === 'warning');
  }

  function expectOne(found: Diagnosis[], what: string, seen: RegExp, fix: RegExp): void {
    const one = bad(found).find((each) => each.what === what);
    assert.ok(one, `no finding about ${what}: ${JSON.stringify(bad(found))}`);
    assert.match(one.seen, seen);
    assert.match(one.fix ?? '', fix);
  }

  it('finds nothing wrong with a registry that works, and leaves nothing in it', async () => {
    const found = await checkUrl(registry.url);
    assert.deepEqual(
      bad(found).filter(({ what }) => what !== 'old engines'),
      [],
    );
    for (const what of ['registry', 'nodes', 'large bodies', 'address in answers', 'clock'])
      assert.ok(
        found.some((each) => each.what === what && each.verdict === 'ok'),
        what,
      );
    assert.deepEqual(await new V2Client(registry.url).catalog(), []);
    const uploads = '/docker/registry/v2/repositories/isthmus-doctor/probe/_uploads';
    for await (const left of driver.list(uploads)) assert.fail(`upload ${left} is left`);
  });

  it('sees that a proxy drops Host', async () => {
    const found = await checkUrl(await through({ host: 'backend:5000' }));
    expectOne(found, 'address in answers', /backend:5000.*drops Host/, /Host \$http_host/);
  });

  it('sees that a proxy drops X-Forwarded-Proto, whose certificate nobody trusts', async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      const found = await checkUrl(await throughTls({}, {}));
      expectOne(found, 'address in answers', /http:\/\/, not https/, /X-Forwarded-Proto \$scheme/);
      const right = await checkUrl(await throughTls({}, { 'x-forwarded-proto': 'https' }));
      assert.ok(
        right.some(({ what, verdict }) => what === 'address in answers' && verdict === 'ok'),
      );
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
    expectOne(await checkUrl(await throughTls({}, {})), 'certificate', /self.signed/i, /certs\.d/);
  });

  it('sees that TLS is too new for old engines', async () => {
    const found = await checkUrl(await throughTls({ minVersion: 'TLSv1.3' }, {}));
    expectOne(found, 'TLS version', /TLS 1\.2 is refused/, /tls1\.2/);
  });

  it('sees a body limit in front', async () => {
    const found = await checkUrl(await through({ maxBody: 1 << 20 }));
    expectOne(found, 'large bodies', /2 MiB are refused/, /client_max_body_size 0/);
  });

  it('sees clocks that differ', async () => {
    const date = new Date(Date.now() - 300_000).toUTCString();
    expectOne(await checkUrl(await through({ date })), 'clock', /s behind this host/, /NTP/);
  });

  it('sees that the version header is dropped', async () => {
    const found = await checkUrl(await through({ drop: ['docker-distribution-api-version'] }));
    expectOne(found, 'registry', /lacks Docker-Distribution-Api-Version/, /pass the header/);
  });

  it('sees that /v1/ or /v2/ do not reach the registry', async () => {
    expectOne(
      await checkUrl(await through({ only: '/v2/' })),
      'old engines',
      /_ping/,
      /pass \/v1\//,
    );
    expectOne(
      await checkUrl(await through({ only: '/v1/' })),
      'registry',
      /404 by nginx/,
      /pass \/v2\//,
    );
  });

  it('sees nodes that do not share their store', async () => {
    const stranger = await serveApp(new MemoryDriver());
    servers.push(stranger);
    const found = await checkUrl(await through({ other: stranger.url }));
    expectOne(found, 'nodes', /do not know an upload/, /same storage and the same http\.secret/);
  });

  it('sees a name that nobody knows, a port that nobody listens on, and what is no URL', async () => {
    expectOne(await checkUrl('http://no-such-host.invalid/'), 'host name', /unknown here/, /DNS/);
    const found = await checkUrl(`http://127.0.0.1:${await freePort()}`);
    expectOne(found, 'connection', /ECONNREFUSED/, /start the registry/);
    expectOne(await checkUrl('registry'), 'URL', /is none/, /https:/);
  });

  it('sees plain HTTP on a port that was taken for TLS', async () => {
    const found = await checkUrl(registry.url.replace('http:', 'https:'));
    expectOne(found, 'TLS', /speaks plain HTTP/, /use http:/);
  });

  it('sees that it has used up its requests itself', async () => {
    const guards = [limitRequests(1)];
    const server = await serveApp(new MemoryDriver(), { guards });
    servers.push(server);
    await fetch(`${server.url}/v2/`);
    expectOne(await checkUrl(server.url), 'registry', /for \d+ seconds \(429\)/, /trustedproxies/);
  });

  it('sees that the storage takes no writes, and that it is full', async () => {
    for (const [code, said, fix] of [
      ['STORAGE_UNWRITABLE', /takes no writes/, /doctor on that host/],
      ['STORAGE_FULL', /is full/, /free space/],
    ] as const) {
      const driver = new MemoryDriver();
      driver.put = () => Promise.reject(storageError(code, 'no'));
      driver.append = () => Promise.reject(storageError(code, 'no'));
      const server = await serveApp(driver);
      servers.push(server);
      expectOne(await checkUrl(server.url), 'upload', said, fix);
    }
  });

  it('says how a health check that fails looks from outside', async () => {
    const server = await serve((_, response) => void response.writeHead(503).end());
    servers.push(server);
    expectOne(await checkUrl(server.url), 'registry', /503/, /debug\/health/);
  });
});
