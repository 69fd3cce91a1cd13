import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { storageError } from '../errors.ts';
import { indentedJson, type JsonTree } from './indented-json.ts';
import { JsonError } from './json-scanner.ts';
import { jsonValue } from './json-value.ts';

/** A document with more signatures is refused: each one costs the time of a verification. */
const MAX_SIGNATURES = 32;

/** How a key of each kind may sign: the names of the algorithms (RFC 7518, 3.1) and their hashes. */
const EC_ALGORITHMS = new Map<string, [algorithm: string, hash: string]>([
  ['prime256v1', ['ES256', 'sha256']],
  ['secp384r1', ['ES384', 'sha384']],
  ['secp521r1', ['ES512', 'sha512']],
]);
const RSA_ALGORITHMS = new Map([
  ['RS256', 'sha256'],
  ['RS384', 'sha384'],
  ['RS512', 'sha512'],
]);

/** The members that a signature block or its protected header may have, not yet looked at. */
interface JsonObject {
  signatures?: unknown;
  header?: unknown;
  signature?: unknown;
  protected?: unknown;
  formatLength?: unknown;
  formatTail?: unknown;
  jwk?: unknown;
  x5c?: unknown;
  alg?: unknown;
}

interface Signature {
  header: JsonObject;
  signature: Buffer;
  /** As written, since that is what was signed. */
  protected: string;
  formatLength: number;
  formatTail: Buffer;
}

/**
 * The payload of a signed schema1 document (bridge.md 6.1, 6.4); its sha256 names the manifest. Throws MANIFEST_INVALID
 * for what is no such document, MANIFEST_UNVERIFIED when any of its signatures does not hold.
 */
export function readSigned(document: Buffer): Buffer {
  const signatures = readSignatures(document);
  const [first] = signatures;
  if (first === undefined) throw invalid('the manifest has no signatures');
  if (signatures.length > MAX_SIGNATURES) {
    throw invalid(`the manifest has more than ${MAX_SIGNATURES} signatures`);
  }
  for (const { formatLength, formatTail } of signatures) {
    if (formatLength !== first.formatLength || !formatTail.equals(first.formatTail)) {
      throw invalid('the signatures cover different payloads');
    }
  }
  if (first.formatLength > document.length) throw invalid('formatLength lies past the end');
  const payload = Buffer.concat([document.subarray(0, first.formatLength), first.formatTail]);
  for (const signature of signatures) {
    if (!holds(signature, payload)) {
      throw storageError('MANIFEST_UNVERIFIED', 'a signature of the manifest does not verify');
    }
  }
  return payload;
}

function readSignatures(document: Buffer): Signature[] {
  const { signatures } = asObject(parse(document), 'the manifest');
  if (!Array.isArray(signatures)) throw invalid('the manifest has no list of signatures');
  return signatures.map(readSignature);
}

function readSignature(value: unknown): Signature {
  const block = asObject(value, 'a signature');
  const fields = asObject(parse(base64Url(block.protected, 'protected')), 'protected');
  const { formatLength } = fields;
  if (typeof formatLength !== 'number' || !Number.isSafeInteger(formatLength) || formatLength < 0) {
    throw invalid('formatLength must be a number of bytes');
  }
  return {
    header: asObject(block.header, 'the header of a signature'),
    signature: base64Url(block.signature, 'signature'),
    protected: block.protected as string,
    formatLength,
    formatTail: base64Url(fields.formatTail, 'formatTail'),
  };
}

function holds(signature: Signature, payload: Buffer): boolean {
  const { alg } = signature.header;
  const input = Buffer.from(`${signature.protected}.${payload.toString('base64url')}`);
  try {
    const key = keyOf(signature.header);
    const hash = typeof alg === 'string' ? hashOf(key, alg) : undefined;
    if (hash === undefined) return false;
    return verify(hash, input, { key, dsaEncoding: 'ieee-p1363' }, signature.signature);
  } catch {
    // The key is none, or of a kind that OpenSSL refuses.
    return false;
  }
}

function keyOf({ jwk, x5c }: JsonObject): KeyObject {
  if (jwk !== undefined) return createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  const [certificate] = Array.isArray(x5c) ? x5c : [];
  return new X509Certificate(Buffer.from(String(certificate), 'base64')).publicKey;
}

/** The hash that the algorithm uses; undefined when it does not fit the key. */
function hashOf(key: KeyObject, algorithm: string): string | undefined {
  if (key.asymmetricKeyType === 'rsa') return RSA_ALGORITHMS.get(algorithm);
  const [name, hash] = EC_ALGORITHMS.get(key.asymmetricKeyDetails?.namedCurve ?? '') ?? [];
  return name === algorithm ? hash : undefined;
}

function base64Url(value: unknown, name: string): Buffer {
  // Node passes over what is no base64, so the text is checked first.
  if (typeof value !== 'string' || !/^[A-Za-z0-9_-]*$/.test(value) || value.length % 4 === 1) {
    throw invalid(`${name} must be base64url without padding`);
  }
  return Buffer.from(value, 'base64url');
}

function parse(bytes: Buffer): unknown {
  try {
    return jsonValue(bytes);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw storageError('MANIFEST_INVALID', `the manifest is malformed: ${cause.message}`, {
      cause,
    });
  }
}

function asObject(value: unknown, name: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as JsonObject;
  }
  throw invalid(`${name} must be a JSON object`);
}

function invalid(message: string): Error {
  return storageError('MANIFEST_INVALID', message);
}

/** The P-256 key that signs the schema1 documents of a store. */
export class SigningKey {
  readonly #key: KeyObject;
  /** libtrust's fingerprint of the public key. */
  readonly id: string;

  private constructor(key: KeyObject) {
    this.#key = key;
    this.id = fingerprint(createPublicKey(key));
  }

  static generate(): SigningKey {
    return new SigningKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  }

  /** Throws for anything but a private P-256 key in JWK form. */
  static fromJwk(jwk: JsonWebKey): SigningKey {
    const key = createPrivateKey({ key: jwk, format: 'jwk' });
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw new Error('the signing key must be an EC key on the curve P-256');
    }
    return new SigningKey(key);
  }

  /** The private key, to be kept. */
  toJwk(): JsonWebKey {
    return { ...this.#key.export({ format: 'jwk' }), kid: this.id };
  }

  /**
   * The signed document for a payload, which must be a JSON object that is not empty, in libtrust's pretty form (6.4).
   * Every call signs anew, so sign a payload once and keep the document.
   */
  sign(payload: Buffer, time: Date = new Date()): Buffer {
    const text = payload.toString('latin1');
    const length = text.slice(0, text.trimEnd().length - 1).trimEnd().length;
    const head = payload.subarray(0, length);
    const header = {
      formatLength: length,
      formatTail: payload.subarray(length).toString('base64url'),
      time: `${time.toISOString().slice(0, 19)}Z`,
    };
    const protectedHeader = Buffer.from(JSON.stringify(header)).toString('base64url');
    const input = Buffer.from(`${protectedHeader}.${payload.toString('base64url')}`);
    const signature = sign('sha256', input, { key: this.#key, dsaEncoding: 'ieee-p1363' });
    const { crv, kty, x, y } = this.#key.export({ format: 'jwk' }) as Record<string, string>;
    const signatures: JsonTree = [
      {
        header: { jwk: { crv, kid: this.id, kty, x, y }, alg: 'ES256' },
        signature: signature.toString('base64url'),
        protected: protectedHeader,
      },
    ];
    const nested = indentedJson(signatures).toString().replaceAll('\n', '\n   ');
    return Buffer.concat([head, Buffer.from(`,\n   "signatures": ${nested}\n}`)]);
  }
}

/** 30 bytes of the public key's sha256 in base32, in groups of four. */
function fingerprint(key: KeyObject): string {
  const digest = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  const bits = Array.from(digest.subarray(0, 30), (byte) => byte.toString(2).padStart(8, '0')).join(
    '',
  );
  const letters = (bits.match(/.{5}/g) ?? []).map(
    (group) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(group, 2)],
  );
  return (letters.join('').match(/.{4}/g) ?? []).join(':');
}
