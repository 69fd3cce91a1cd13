import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import * as der from './der.ts';

const ECDSA_WITH_SHA256 = der.sequence(der.objectIdentifier('1.2.840.10045.4.3.2'));
const EXTENSION_REQUEST = der.objectIdentifier('1.2.840.113549.1.9.14');
const SUBJECT_ALT_NAME = der.objectIdentifier('2.5.29.17');
const COMMON_NAME = der.objectIdentifier('2.5.4.3');
const ACME_IDENTIFIER = der.objectIdentifier('1.3.6.1.5.5.7.1.31');
const VERSION_3 = der.constructed(0, der.integer(Buffer.from([2])));
const DAY_MS = 24 * 60 * 60 * 1000;

/** A request for a certificate of `host`, signed by its P-256 key: PKCS #10 in DER (RFC 2986, RFC 8555 7.4). */
export function certificateRequest(host: string, key: KeyObject): Buffer {
  const extensions = der.sequence(alternativeName(host));
  const attribute = der.sequence(EXTENSION_REQUEST, der.setOf(extensions));
  const noSubject = der.sequence();
  return signed(key, [
    der.integer(Buffer.from([0])),
    noSubject,
    publicKeyInfo(key),
    der.constructed(0, attribute),
  ]);
}

/** The certificate that answers a tls-alpn-01 challenge, signed by its own P-256 key: X.509 in PEM (RFC 8737 3). */
export function challengeCertificate(
  host: string,
  key: KeyObject,
  keyAuthorizationHash: Uint8Array,
  now = Date.now(),
): string {
  const name = der.sequence(der.setOf(der.sequence(COMMON_NAME, der.utf8String('ACME challenge'))));
  const identifier = der.sequence(
    ACME_IDENTIFIER,
    der.TRUE,
    der.octetString(der.octetString(keyAuthorizationHash)),
  );
  const certificate = signed(key, [
    VERSION_3,
    der.integer(randomBytes(16)),
    ECDSA_WITH_SHA256,
    name,
    // The clock of whoever looks may be a little off.
    der.sequence(der.time(new Date(now - DAY_MS)), der.time(new Date(now + DAY_MS))),
    name,
    publicKeyInfo(key),
    der.constructed(3, der.sequence(alternativeName(host), identifier)),
  ]);
  const lines = certificate.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function alternativeName(host: string): Buffer {
  const names = der.sequence(der.primitive(2, Buffer.from(host, 'ascii')));
  return der.sequence(SUBJECT_ALT_NAME, der.octetString(names));
}

function publicKeyInfo(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' });
}

function signed(key: KeyObject, fields: Buffer[]): Buffer {
  const content = der.sequence(...fields);
  return der.sequence(content, ECDSA_WITH_SHA256, der.bitString(sign('sha256', content, key)));
}
