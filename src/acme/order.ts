import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { certificateRequest, challengeCertificate } from './certificate-request.ts';
import type { AcmeClient } from './client.ts';
import { AcmeError, isObject, parseProblem, refusedBy } from './problem.ts';
import { type AcmeRecords, keyPem } from './records.ts';

const CHALLENGE = 'tls-alpn-01';
/** How long the CA may take to look at a challenge, or to make the certificate. */
const PATIENCE_MS = 5 * 60 * 1000;

/**
 * Has a certificate for `host` made (RFC 8555 7.4): proves by tls-alpn-01 that it leads here, and gives the new
 * private key and the chain, PEM one after the other. Throws an AcmeError.
 */
export async function orderCertificate(
  client: AcmeClient,
  records: AcmeRecords,
  host: string,
): Promise<string> {
  const { body: order, location } = await client.post(client.url('newOrder'), {
    identifiers: [{ type: 'dns', value: host }],
  });
  const orderUrl = text(location, 'Location');
  for (const url of texts(order.authorizations)) await prove(client, records, host, url);
  const ready = await client.poll(orderUrl, ({ status }) => status !== 'pending', PATIENCE_MS);
  if (ready.status !== 'ready') throw refusedBy(parseProblem(ready.error), host);
  const key = newKey();
  await client.post(text(ready.finalize, 'finalize'), {
    csr: certificateRequest(host, key).toString('base64url'),
  });
  const done = await client.poll(orderUrl, ({ status }) => status !== 'processing', PATIENCE_MS);
  if (done.status !== 'valid') throw refusedBy(parseProblem(done.error), host);
  const chain = await client.post(text(done.certificate, 'certificate'));
  return `${keyPem(key)}${chain.text}`;
}

/** Answers the challenge of one authorization, by any process that shares the records (RFC 8737). */
async function prove(
  client: AcmeClient,
  records: AcmeRecords,
  host: string,
  url: string,
): Promise<void> {
  const { body: authorization } = await client.post(url);
  if (authorization.status === 'valid') return;
  const offered = Array.isArray(authorization.challenges)
    ? authorization.challenges.filter(isObject)
    : [];
  const challenge = offered.find(({ type }) => type === CHALLENGE);
  if (challenge === undefined) {
    const kinds = offered.map(({ type }) => type).join(', ');
    throw new AcmeError(
      'unsupportedChallenge',
      `${host}: the CA offers ${kinds || 'no challenge'}, and only ${CHALLENGE} can be answered here`,
    );
  }
  const authorizationText = await client.keyAuthorization(text(challenge.token, 'token'));
  const key = newKey();
  const hash = createHash('sha256').update(authorizationText).digest();
  await records.putChallenge(host, keyPem(key) + challengeCertificate(host, key, hash));
  try {
    await client.post(text(challenge.url, 'url'), {});
    const settled = await client.poll(url, ({ status }) => status !== 'pending', PATIENCE_MS);
    if (settled.status !== 'valid') throw refusedBy(reasonOf(settled), host);
  } finally {
    await records.dropChallenge(host);
  }
}

function reasonOf(authorization: Record<string, unknown>) {
  const { challenges } = authorization;
  const failed = Array.isArray(challenges)
    ? challenges.find((each) => isObject(each) && each.error !== undefined)
    : undefined;
  return parseProblem(isObject(failed) ? failed.error : undefined);
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function text(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw new AcmeError('malformed', `the CA's answer holds no ${name}`);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
