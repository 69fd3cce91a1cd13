import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { calculateJwkThumbprint, EmbeddedJWK, flattenedVerify, type JWK } from 'jose';
import { pauseAfter, renewalTime } from '../../../src/acme/certificates.ts';
import { AcmeClient } from '../../../src/acme/client.ts';
import { AcmeError } from '../../../src/acme/problem.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const running = new AbortController().signal;
const DAY = 24 * 3600 * 1000;

/** A CA that keeps what was posted, and answers to `/thing` what `answer` says. */
async function startCa(
  context: TestContext,
  answer: (visit: number) => { status: number; body: unknown; headers?: Record<string, string> },
) {
  const posted: { url: string; header: Record<string, unknown>; payload: string }[] = [];
  let nonces = 0;
  let visits = 0;
  const server = createServer(async (request, response) => {
    const base = `http://${request.headers.host}`;
    nonces += 1;
    response.setHeader('Replay-Nonce', `nonce-${nonces}`);
    const send = (status: number, body: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
      response.end(JSON.stringify(body));
    };
    if (request.method === 'POST') posted.push(await verified(request, base));
    if (request.url === '/dir')
      send(200, {
        newNonce: `${base}/nonce`,
        newAccount: `${base}/account`,
        newOrder: `${base}/o`,
      });
    else if (request.url === '/account') send(201, {}, { Location: '/account/7' });
    else if (request.url === '/thing') {
      visits += 1;
      const { status, body, headers } = answer(visits);
      send(status, body, headers);
    } else response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { base, posted };
}

async function verified(request: IncomingMessage, base: string) {
  assert.equal(request.headers['content-type'], 'application/jose+json');
  let text = '';
  for await (const chunk of request) text += chunk;
  const jws = JSON.parse(text);
  const header = JSON.parse(Buffer.from(jws.protected, 'base64url').toString());
  const key = header.jwk === undefined ? publicKey : EmbeddedJWK;
  const { payload } = await (typeof key === 'function'
    ? flattenedVerify(jws, key)
    : flattenedVerify(jws, key));
  assert.equal(header.url, `${base}${request.url}`);
  return { url: request.url ?? '', header, payload: Buffer.from(payload).toString() };
}

test('signs with the key for a new account, then with its URL, each time with the next nonce', async (t) => {
  const { base, posted } = await startCa(t, () => ({ status: 200, body: { status: 'valid' } }));
  const client = await AcmeClient.open(`${base}/dir`, privateKey, 'root@example.org', running);
  await client.post(`${base}/thing`, { a: 1 });
  await client.post(`${base}/thing`);
  const [account, thing, read] = posted;
  assert.equal(account?.header.alg, 'ES256');
  const jwk = account?.header.jwk as JWK;
  const thumbprint = await calculateJwkThumbprint(jwk);
  assert.equal(await client.keyAuthorization('token'), `token.${thumbprint}`);
  assert.equal(jwk.d, undefined);
  assert.deepEqual(JSON.parse(account?.payload ?? ''), {
    termsOfServiceAgreed: true,
    contact: ['mailto:root@example.org'],
  });
  assert.equal(thing?.header.kid, `${base}/account/7`);
  assert.equal(thing?.header.jwk, undefined);
  assert.equal(thing?.payload, '{"a":1}');
  assert.equal(read?.payload, '');
  assert.equal(new Set(posted.map(({ header }) => header.nonce)).size, 3);
});

test('repeats a request whose nonce was too old, and gives up on other refusals with what would help', async (t) => {
  const urn = 'urn:ietf:params:acme:error:';
  const { base, posted } = await startCa(t, (visit) =>
    visit === 1
      ? { status: 400, body: { type: `${urn}badNonce`, detail: 'old' } }
      : {
          status: 429,
          body: { type: `${urn}rateLimited`, detail: 'too many' },
          headers: { 'Retry-After': '7200' },
        },
  );
  const client = await AcmeClient.open(`${base}/dir`, privateKey, undefined, running);
  const refusal = await client.post(`${base}/thing`, {}).catch((error: unknown) => error);
  assert.ok(refusal instanceof AcmeError);
  assert.match(refusal.message, /too many \(rateLimited\); wait; .*rate-limits/);
  assert.equal(pauseAfter(refusal, 1), 7_200_000);
  assert.equal(posted.filter(({ url }) => url === '/thing').length, 2);
});

test('says that what answers is no ACME directory, or that nothing answers', async (t) => {
  const { base } = await startCa(t, () => ({ status: 200, body: {} }));
  const open = (url: string) => AcmeClient.open(url, privateKey, undefined, running);
  await assert.rejects(open(`${base}/thing`), /is no ACME directory: it has no newAccount/);
  await assert.rejects(open('http://127.0.0.1:1/dir'), /can't reach the CA .*directoryurl/);
});

test('renews 30 days before the end, or when a third of a short life is left, and a little later by chance', () => {
  const long = { notBefore: 0, notAfter: 90 * DAY };
  assert.equal(renewalTime(long, 0), 60 * DAY);
  assert.equal(renewalTime(long, 1), 60 * DAY + 3_600_000);
  assert.equal(renewalTime({ notBefore: 0, notAfter: 6 * DAY }, 0), 4 * DAY);
});

test('waits longer after each failure, and less long for a CA that is down', () => {
  const down = new AcmeError('unreachable', 'down');
  assert.deepEqual(
    [1, 2, 9].map((count) => pauseAfter(down, count)),
    [5000, 15_000, 900_000],
  );
  const [first, second, third] = [1, 2, 3].map((count) => pauseAfter(new Error('x'), count));
  assert.deepEqual([first, second, third], [60_000, 180_000, 540_000]);
  assert.equal(pauseAfter(new Error('x'), 50), 4 * 3_600_000);
});
