import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type RequestListener,
  request,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Logger } from '../../protocols/registry.ts';
import { listen } from '../../src/listen.ts';
import { HttpServer } from '../../src/server.ts';
import { tlsOptions, watchCertificate } from '../../src/tls.ts';
import { flavor } from '../support/config.ts';
import { until } from '../support/registry-process.ts';

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const open: { listener: Server; server: HttpServer }[] = [];

/** A server with these http settings over a real listener; gives it and its port. */
async function serve(settings: string, handler: RequestListener) {
  const { config } = flavor(`http: ${settings}`);
  const server = new HttpServer(config.http, handler, silent);
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (socket) =>
    server.accept(socket),
  );
  open.push({ listener, server });
  const address = listener.address();
  return { server, listener, port: typeof address === 'object' ? (address?.port ?? 0) : 0 };
}

afterEach(() => {
  for (const { listener, server } of open.splice(0)) {
    listener.close();
    server.close();
  }
});

/** Answers with the number of bytes that came, once all have. */
const count: RequestListener = async (incoming, response) => {
  let bytes = 0;
  try {
    for await (const chunk of incoming) bytes += chunk.length;
  } catch {
    // Some of these tests cut the request; then nobody waits for the answer.
    return;
  }
  response.end(String(bytes));
};

async function answerOf(
  outgoing: ClientRequest,
): Promise<{ text: string; response: IncomingMessage }> {
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += chunk;
  return { text, response };
}

/** Waits for the end, whether it comes with an error or not. */
function closed(emitter: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', resolve));
}

function put(port: number, agent: Agent | false = false): ClientRequest {
  const outgoing = request({ host: '127.0.0.1', port, method: 'PUT', path: '/', agent });
  outgoing.on('error', () => {});
  return outgoing;
}

test('draining lets an upload finish, closes its connection and refuses new ones', async () => {
  const { server, listener, port } = await serve('{}', count);
  const upload = put(port, new Agent({ keepAlive: true }));
  upload.write('first');
  await until('the upload', () => server.served === 1);
  listener.close();
  const drained = server.drain(5);
  await assert.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });
  await sleep(50);
  upload.end(' second');
  const { text, response } = await answerOf(upload);
  assert.equal(text, '12');
  assert.equal(response.headers.connection, 'close');
  assert.equal(await drained, true);
  assert.equal(server.connections, 0);
});

test('draining closes an idle connection at once', async () => {
  const { server, port } = await serve('{}', count);
  const agent = new Agent({ keepAlive: true });
  const first = put(port, agent);
  first.end();
  await answerOf(first);
  assert.equal(server.connections, 1);
  const started = Date.now();
  assert.equal(await server.drain(5), true);
  assert.ok(Date.now() - started < 500);
});

test('draining cuts what is not finished when the time is over', async () => {
  const { server, port } = await serve('{}', count);
  const upload = put(port);
  upload.write('for ever');
  await until('the upload', () => server.served === 1);
  const failed = closed(upload);
  assert.equal(await server.drain(0.1), false);
  await failed;
  assert.equal(server.connections, 0);
});

test('a push that stalls for the whole idle time is cut', async () => {
  const { port } = await serve('{timeouts: {idle: 150ms}}', count);
  const upload = put(port);
  upload.write('some');
  const started = Date.now();
  await closed(upload);
  assert.ok(Date.now() - started >= 140);
});

test('a push that is slow but moves is never cut', async () => {
  const { port } = await serve('{timeouts: {idle: 200ms}}', count);
  const upload = put(port);
  for (let i = 0; i < 10; i++) {
    upload.write('x');
    await sleep(60);
  }
  upload.end();
  assert.equal((await answerOf(upload)).text, '10');
});

test('an answer that takes the server longer than the idle time is waited for', async () => {
  const { port } = await serve('{timeouts: {idle: 100ms}}', async (_, response) => {
    await sleep(400);
    response.end('late');
  });
  const asked = put(port);
  asked.end();
  assert.equal((await answerOf(asked)).text, 'late');
});

test('a client that does not read its answer is cut', async () => {
  const { server, port } = await serve('{timeouts: {idle: 150ms}}', (_, response) => {
    response.end(Buffer.alloc(64 * 1024 * 1024));
  });
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('the request', () => server.connections === 1);
  await until('the cut', () => server.connections === 0);
  socket.destroy();
});

/** What is sent on a raw connection, and how the answer must begin. */
const GARBAGE: [string, string, RegExp][] = [
  ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00', /^HTTP\/1.1 400 Bad Request\r\n/],
  [
    'headers beyond the limit',
    `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`,
    /^HTTP\/1.1 431 /,
  ],
  ['headers that never end', 'GET / HTTP/1.1\r\nX: ', /^HTTP\/1.1 408 /],
  [
    'two lengths that differ',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    /^HTTP\/1.1 400 /,
  ],
  [
    'a length beside chunks',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /^HTTP\/1.1 400 /,
  ],
];

for (const [what, bytes, expected] of GARBAGE) {
  test(`answers ${what} with a refusal in JSON, and closes`, async () => {
    const { port } = await serve('{timeouts: {headers: 300ms}}', count);
    const text = await talk(connect(port, '127.0.0.1'), Buffer.from(bytes, 'latin1'));
    assert.match(text, expected);
    assert.match(text, /\r\n\r\n\{"errors":\[\{"code":"UNSUPPORTED"/);
  });
}

async function talk(socket: Socket, bytes: Buffer): Promise<string> {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.write(bytes);
  await closed(socket);
  return text;
}

test('takes no more connections than configured', async () => {
  const { port } = await serve('{limits: {connections: 1}}', count);
  const first = connect(port, '127.0.0.1');
  await once(first, 'connect');
  const second = connect(port, '127.0.0.1');
  second.on('error', () => {});
  second.resume();
  await closed(second);
  assert.equal(first.destroyed, false);
  first.destroy();
});

const folder = mkdtempSync(join(tmpdir(), 'tls-'));
after(() => rmSync(folder, { recursive: true }));

/** A self-signed certificate and its key for `name`, in the test's folder. */
function makeCertificate(name: string): { certificate: string; key: string } {
  const [certificate, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const subject = ['-subj', `/CN=${name}`, '-keyout', key, '-out', certificate];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  return { certificate, key };
}

async function nameOfServer(port: number): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return name;
}

test('serves TLS, drains it, and refuses versions older than allowed', async () => {
  const { certificate, key } = makeCertificate('one');
  const { server, port } = await serve(
    `{tls: {certificate: ${certificate}, key: ${key}, minimumtls: tls1.3}}`,
    count,
  );
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const talked = talk(
    socket,
    Buffer.from('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab'),
  );
  await until('the connection', () => server.served === 1);
  assert.equal(await server.drain(2), true);
  assert.match(await talked, /\r\n\r\n2$/);
  const old = connectTls({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
  });
  await assert.rejects(once(old, 'secureConnect'));
});

test('asks for client certificates when CAs are configured', async () => {
  const own = makeCertificate('server');
  const client = makeCertificate('client');
  const { port } = await serve(
    `{tls: {certificate: ${own.certificate}, key: ${own.key}, clientcas: [${client.certificate}]}}`,
    count,
  );
  const say = Buffer.from('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const anonymous = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  assert.equal(await talk(anonymous, say), '');
  const { readFileSync } = await import('node:fs');
  const known = connectTls({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    cert: readFileSync(client.certificate),
    key: readFileSync(client.key),
  });
  assert.match(await talk(known, say), /^HTTP\/1.1 200 /);
});

test('takes over a certificate that was replaced, and keeps it when the next one is broken', async () => {
  const [one, two] = [makeCertificate('old'), makeCertificate('new')];
  const { config } = flavor(`http: {tls: {certificate: ${one.certificate}, key: ${one.key}}}`);
  assert.ok(config.http.tls);
  const events: string[] = [];
  const log = {
    ...silent,
    info: (event: string) => void events.push(event),
    error: (event: string) => void events.push(event),
  };
  const server = createTlsServer(tlsOptions(config.http.tls)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const stop = watchCertificate(server, config.http.tls, log, 20);
  assert.equal(await nameOfServer(port), 'old');
  copyFileSync(two.key, one.key);
  copyFileSync(two.certificate, one.certificate);
  await until('the new certificate', async () =>
    (await nameOfServer(port)) === 'new' ? true : undefined,
  );
  const { writeFileSync } = await import('node:fs');
  writeFileSync(one.certificate, 'broken');
  await until('the refusal', () => events.includes('certificate not reloaded; the old one stays'));
  assert.equal(await nameOfServer(port), 'new');
  stop();
  server.close();
});

test('a certificate that is missing or fits no key is named at start', () => {
  const one = makeCertificate('a');
  const two = makeCertificate('b');
  const start = (tls: string) => () =>
    new HttpServer(flavor(`http: {tls: ${tls}}`).config.http, count, silent);
  assert.throws(start('{certificate: /nowhere, key: /nowhere}'), /can't read \/nowhere/);
  assert.throws(
    start(`{certificate: ${one.certificate}, key: ${two.key}}`),
    /are no pair of certificate and key/,
  );
});
