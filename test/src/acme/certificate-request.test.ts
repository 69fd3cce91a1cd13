import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { certificateRequest, challengeCertificate } from '../../../src/acme/certificate-request.ts';
import * as der from '../../../src/acme/der.ts';

const HOST = 'a-rather-long-name-of-a-registry.team.example.org';
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const openssl = (words: string, input: Buffer | string) =>
  execFileSync('openssl', words.split(' '), { input, stdio: ['pipe', 'pipe', 'pipe'] }).toString();

test('openssl verifies the signature of a certificate request and reads the host in it', () => {
  const request = certificateRequest(HOST, privateKey);
  const text = openssl('req -inform DER -noout -text -verify', request);
  assert.match(text, /Version: 1 /);
  assert.match(text, /Subject: *\n/);
  assert.match(text, new RegExp(`Subject Alternative Name: *\\n *DNS:${HOST}\\n`));
  assert.match(text, /ecdsa-with-SHA256/);
  const broken = Buffer.from(request);
  broken[60] = (broken[60] ?? 0) ^ 1;
  assert.throws(() => openssl('req -inform DER -noout -verify', broken));
});

test('a challenge certificate holds the hash of the key authorization, critical, and fits its key', () => {
  const hash = createHash('sha256').update('token.thumbprint').digest();
  const pem = challengeCertificate(HOST, privateKey, hash);
  const certificate = new X509Certificate(pem);
  assert.ok(certificate.checkPrivateKey(privateKey));
  assert.ok(certificate.verify(certificate.publicKey));
  assert.equal(certificate.subjectAltName, `DNS:${HOST}`);
  assert.ok(Date.parse(certificate.validTo) > Date.now());
  const text = openssl('x509 -noout -text', pem);
  assert.match(text, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical/);
  assert.ok(certificate.raw.includes(Buffer.concat([Buffer.from([0x04, 0x20]), hash])));
});

test('DER: lengths, signs, long arcs and both kinds of time', () => {
  const hex = (value: Buffer) => value.toString('hex');
  assert.equal(hex(der.octetString(Buffer.alloc(127))).slice(0, 4), '047f');
  assert.equal(hex(der.octetString(Buffer.alloc(128))).slice(0, 6), '048180');
  assert.equal(hex(der.octetString(Buffer.alloc(65_536))).slice(0, 10), '0483010000');
  assert.equal(hex(der.integer(Buffer.from([0]))), '020100');
  assert.equal(hex(der.integer(Buffer.from([0, 0x80]))), '02020080');
  assert.equal(hex(der.objectIdentifier('1.2.840.113549.1.9.14')), '06092a864886f70d01090e');
  assert.equal(der.time(new Date('2049-12-31T23:59:59Z')).toString('latin1', 2), '491231235959Z');
  assert.equal(der.time(new Date('2050-01-01T00:00:00Z')).toString('latin1', 2), '20500101000000Z');
});
