import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, ListenOptions, Server } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { freePort } from '../support/free-port.ts';
import { makeCertificate } from '../support/self-signed.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** Runs the script of the Dockerfile's HEALTHCHECK in this environment. Gives what it says, and how it ended. */
async function check(env: Record<string, string>): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, [join(packageRoot(), 'deploy', 'healthcheck.mjs')], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, said };
}

async function listen(context: TestContext, server: Server, at: ListenOptions): Promise<number> {
  context.after(() => server.close());
  server.listen(at);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const alive: RequestListener = (request, response) => {
  response.statusCode = request.url === '/livez' ? 200 : 500;
  response.end();
};
const LOCAL = { host: '127.0.0.1', port: 0 };
const healthy = { code: 0, said: '' };

describe('deploy/healthcheck.mjs', () => {
  it('finds the registry by each way to name its port', async (context) => {
    const port = await listen(context, createServer(alive), LOCAL);
    assert.deepEqual(await check({ REGISTRY_PORT: String(port) }), healthy);
    assert.deepEqual(await check({ REGISTRY_HTTP_ADDR: `:${port}` }), healthy);
    assert.deepEqual(await check({ GUNICORN_OPTS: `--bind 0.0.0.0:${port}` }), healthy);
  });

  it('finds the registry on a unix socket', async (context) => {
    const path = join(temporaryDirectory(context), 'socket');
    await listen(context, createServer(alive), { path });
    assert.deepEqual(await check({ REGISTRY_HTTP_ADDR: `unix:${path}` }), healthy);
  });

  it('speaks TLS when the registry does, also to one that asks for certificates', async (context) => {
    const { certificate, key } = makeCertificate(temporaryDirectory(context));
    const cert = readFileSync(certificate);
    const own = { cert, key: readFileSync(key) };
    const asking = { ...own, ca: cert, requestCert: true, rejectUnauthorized: true };
    for (const options of [own, asking]) {
      const port = await listen(context, createTlsServer(options, alive), LOCAL);
      const env = {
        REGISTRY_PORT: String(port),
        REGISTRY_HTTP_TLS_CERTIFICATE: certificate,
        REGISTRY_HTTP_TLS_KEY: key,
      };
      assert.deepEqual(await check(env), healthy);
    }
  });

  it('fails, and says why, when nobody listens, the answer is an error, or nothing is configured', async (context) => {
    const nobody = await check({ REGISTRY_PORT: String(await freePort()) });
    assert.equal(nobody.code, 1);
    assert.match(nobody.said, /ECONNREFUSED/);
    const broken = createServer((_request, response) => {
      response.statusCode = 503;
      response.end();
    });
    const port = await listen(context, broken, LOCAL);
    assert.deepEqual(await check({ REGISTRY_PORT: String(port) }), {
      code: 1,
      said: 'the registry answers 503\n',
    });
    const missing = await check({ DOCKER_REGISTRY_CONFIG: '/nowhere.yml' });
    assert.equal(missing.code, 1);
    assert.match(missing.said, /the file is missing/);
  });
});
