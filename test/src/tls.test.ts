import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { HttpServer } from '../../src/server.ts';
import { collectingLog } from '../support/collecting-log.ts';
import { flavor, warningsOf } from '../support/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'tls-'));
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

const path = (name: string) => join(folder, name);
const openssl = (...words: string[]) => execFileSync('openssl', words, { stdio: 'ignore' });

/** A certificate `name`.crt with `name`.key (RSA, as old engines need), signed by `issuer`, or by itself. */
function certify(name: string, issuer?: string): void {
  const signed =
    issuer === undefined ? [] : ['-CA', path(`${issuer}.crt`), '-CAkey', path(`${issuer}.key`)];
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`],
    ...['-keyout', path(`${name}.key`), '-out', path(`${name}.crt`), ...signed],
  );
}

/** A server with these settings below `http.tls`, beside its certificate; gives its port. */
async function serve(settings: string): Promise<number> {
  const tls = `{certificate: ${path('server.crt')}, key: ${path('server.key')}, ${settings}}`;
  const { config } = flavor(`http: {tls: ${tls}}`);
  const http = new HttpServer(config.http, (_, response) => response.end('hello'), collectingLog());
  const listener = createServer((socket) => http.accept(socket));
  servers.push(listener);
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return (listener.address() as AddressInfo).port;
}

/** The version that was spoken when a whole answer came; undefined when the server refused. */
function ask(port: number, options: ConnectionOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    let text = '';
    let version: string | undefined;
    socket.once('secureConnect', () => {
      version = socket.getProtocol() ?? undefined;
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    });
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(/ 200 OK[\s\S]*hello/.test(text) ? version : undefined));
  });
}

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const MINIMA = ['tls1.0', 'tls1.1', 'tls1.2', 'tls1.3'] as const;

before(() => {
  certify('server');
  certify('ca');
  certify('client', 'ca');
  certify('stranger');
});

describe('the oldest version of TLS', () => {
  for (const [least, minimum] of MINIMA.entries()) {
    test(`${minimum} takes clients that speak nothing newer than each version from there on`, async () => {
      const port = await serve(`minimumtls: ${minimum}`);
      const spoken: (string | undefined)[] = [];
      for (const version of VERSIONS) {
        const only = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT:@SECLEVEL=0' };
        spoken.push(await ask(port, only));
      }
      assert.deepEqual(
        spoken,
        VERSIONS.map((version, n) => (n >= least ? version : undefined)),
      );
    });
  }

  test('is 1.2 when nothing is said', async () => {
    const port = await serve('');
    const old = {
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    } as const;
    assert.equal(await ask(port, old), undefined);
    assert.equal(await ask(port, { maxVersion: 'TLSv1.2' }), 'TLSv1.2');
  });

  test('1.0 takes what docker 1.0 offers, and says at start that it is broken', async () => {
    const port = await serve('minimumtls: tls1.0');
    // Go 1.2: ECDHE and RSA with AES-CBC, of which OpenSSL's security level 1 would refuse the SHA-1 signature.
    const goOneTwo = 'ECDHE-RSA-AES128-SHA:AES128-SHA:AES256-SHA';
    for (const cipher of goOneTwo.split(':')) {
      const offered = {
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1',
        ciphers: `${cipher}:@SECLEVEL=0`,
      } as const;
      assert.equal(await ask(port, offered), 'TLSv1', cipher);
    }
    const said = warningsOf(flavor('http: {tls: {certificate: c, key: k, minimumtls: tls1.0}}'));
    assert.deepEqual(said, [
      'http.tls.minimumtls TLS before 1.2 is broken; allow it only for engines that speak nothing newer',
    ]);
  });

  test('holds for openssl as well', async () => {
    const handshake = async (port: number, version: string) => {
      const words = ['s_client', '-connect', `127.0.0.1:${port}`, version, '-brief'];
      const child = spawn('openssl', [...words, '-cipher', 'DEFAULT:@SECLEVEL=0'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let text = '';
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      await once(child, 'close');
      return /Protocol version: (\S+)/.exec(text)?.[1];
    };
    const [old, today] = [await serve('minimumtls: tls1.0'), await serve('')];
    assert.equal(await handshake(old, '-tls1'), 'TLSv1');
    assert.equal(await handshake(today, '-tls1'), undefined);
    assert.equal(await handshake(today, '-tls1_2'), 'TLSv1.2');
  });
});

describe('certificates of clients', () => {
  const known = () => ({
    cert: readFileSync(path('client.crt')),
    key: readFileSync(path('client.key')),
  });
  const strange = () => ({
    cert: readFileSync(path('stranger.crt')),
    key: readFileSync(path('stranger.key')),
  });

  /** For each mode: whether a client without a certificate, with a stranger's, with one of the CA gets an answer. */
  const MODES: [string, boolean, boolean, boolean][] = [
    ['require-and-verify-client-cert', false, false, true],
    ['verify-client-cert-if-given', true, false, true],
    ['require-any-client-cert', false, true, true],
    ['request-client-cert', true, true, true],
  ];
  for (const [mode, ...expected] of MODES) {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      test(`${mode} over ${version}: none, a stranger's, a known one`, async () => {
        const port = await serve(`clientcas: [${path('ca.crt')}], clientauth: ${mode}`);
        const answered: boolean[] = [];
        for (const shown of [{}, strange(), known()]) {
          const options = { minVersion: version, maxVersion: version, ...shown };
          answered.push((await ask(port, options)) !== undefined);
        }
        assert.deepEqual(answered, expected);
      });
    }
  }

  test('are required and verified when only the CAs are named', async () => {
    const port = await serve(`clientcas: [${path('ca.crt')}]`);
    assert.equal(await ask(port, {}), undefined);
    assert.equal(await ask(port, strange()), undefined);
    assert.equal(await ask(port, known()), 'TLSv1.3');
  });
});
