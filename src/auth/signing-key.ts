import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type JsonWebKeyInput,
  type KeyObject,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { calculateJwkThumbprint } from 'jose';
import type { StorageDriver } from '../../storage/driver.ts';
import { ConditionFailedError, ifFound } from '../../storage/errors.ts';
import { storeRecord } from '../../storage/paths.ts';

const RECORD = storeRecord('token-key');

/** The key that signs our tokens, the same on every worker and node. */
export interface SigningKey {
  /** Such as ES256. */
  algorithm: string;
  /** Its RFC 7638 thumbprint. */
  keyId: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** 32 secret bytes for one purpose, from which those of another cannot be guessed. */
  secretFor(purpose: string): Buffer;
}

export interface SigningKeyOptions {
  /** Path of a private key, PEM or JWK; undefined: made on the first start and kept in the store. */
  file: string | undefined;
  /** Secret that nodes share (http.secret); undefined: the key is the secret. */
  secret: string | undefined;
}

/** The key of this registry. Throws an Error that names the file when that holds no key that can sign. */
export async function loadSigningKey(
  driver: StorageDriver,
  options: SigningKeyOptions,
): Promise<SigningKey> {
  const text =
    options.file === undefined ? await keyInStore(driver) : await readFile(options.file, 'utf8');
  const origin = options.file ?? `the store's record ${RECORD}`;
  const privateKey = parsePrivateKey(text, origin);
  const publicKey = createPublicKey(privateKey);
  const secret = options.secret ?? privateKey.export({ format: 'der', type: 'pkcs8' });
  return {
    algorithm: algorithmOf(privateKey, origin),
    keyId: await calculateJwkThumbprint(publicKey),
    privateKey,
    publicKey,
    secretFor: (purpose) => Buffer.from(hkdfSync('sha256', secret, '', `isthmus ${purpose}`, 32)),
  };
}

/** Of several workers that start for the first time, one writes its key, and all read that one. */
async function keyInStore(driver: StorageDriver): Promise<string> {
  const stored = await ifFound(driver.get(RECORD));
  if (stored) return stored.toString();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = JSON.stringify(privateKey.export({ format: 'jwk' }));
  try {
    await driver.put(RECORD, made, { condition: 'absent', secret: true });
    return made;
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    return (await driver.get(RECORD)).toString();
  }
}

function parsePrivateKey(text: string, origin: string): KeyObject {
  try {
    if (!text.trimStart().startsWith('{')) return createPrivateKey(text);
    const key: JsonWebKeyInput = { key: JSON.parse(text), format: 'jwk' };
    return createPrivateKey(key);
  } catch (cause) {
    throw new Error(`${origin} holds no private key; expected PEM or a JSON Web Key`, { cause });
  }
}

const CURVES: Record<string, string> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

function algorithmOf(key: KeyObject, origin: string): string {
  const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (key.asymmetricKeyType === 'ec' && curve !== undefined) return curve;
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  throw new Error(`${origin} holds a key that cannot sign tokens; use P-256, Ed25519 or RSA`);
}
