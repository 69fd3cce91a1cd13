import {
  createHash,
  createPublicKey,
  createSecretKey,
  type JsonWebKey,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { calculateJwkThumbprint } from 'jose';
import { parseCertificates } from './certificate-chain.ts';

export interface TrustedKey {
  key: KeyObject;
  /** The only algorithm that its owner uses it for; undefined for any that fits. */
  algorithm: string | undefined;
}

/** The keys that an outside token server signs with. */
export interface TrustedKeys {
  /** By every name that a token's `kid` may use for it. */
  byId: ReadonlyMap<string, TrustedKey>;
  /** What certificates in tokens must lead to. */
  roots: readonly X509Certificate[];
}

export interface TrustedKeyFiles {
  rootCertBundle: string | undefined;
  jwks: string | undefined;
}

/** Reads the keys. Throws an Error that names the file and what is wrong with it. */
export async function loadTrustedKeys(files: TrustedKeyFiles): Promise<TrustedKeys> {
  const byId = new Map<string, TrustedKey>();
  const { rootCertBundle, jwks } = files;
  const roots =
    rootCertBundle === undefined
      ? []
      : parseCertificates(await readFile(rootCertBundle, 'utf8'), rootCertBundle);
  for (const { publicKey } of roots) {
    await add(byId, { key: publicKey, algorithm: undefined }, undefined);
  }
  if (jwks !== undefined) {
    for (const jwk of parseKeySet(await readFile(jwks, 'utf8'), jwks)) {
      await add(byId, trustedKeyOf(jwk, jwks), stringIn(jwk, 'kid'));
    }
  }
  return { byId, roots };
}

/** libtrust's name of a key, which token servers of docker's age use (v2.md 5.3). */
export function libtrustKeyId(key: KeyObject): string {
  const der = key.export({ format: 'der', type: 'spki' });
  const text = base32(createHash('sha256').update(der).digest().subarray(0, 30));
  return text.match(/.{4}/g)?.join(':') ?? '';
}

async function add(
  byId: Map<string, TrustedKey>,
  trusted: TrustedKey,
  keyId: string | undefined,
): Promise<void> {
  if (keyId !== undefined) byId.set(keyId, trusted);
  if (trusted.key.type === 'secret') return;
  byId.set(libtrustKeyId(trusted.key), trusted);
  byId.set(await calculateJwkThumbprint(trusted.key), trusted);
}

function parseKeySet(text: string, path: string): Record<string, unknown>[] {
  const parsed = parseJson(text);
  const keys = typeof parsed === 'object' && parsed !== null && 'keys' in parsed && parsed.keys;
  if (!Array.isArray(keys) || keys.length === 0) {
    throw new Error(`${path} is no JSON Web Key Set; expected {"keys": [...]}`);
  }
  return keys
    .filter((key): key is Record<string, unknown> => typeof key === 'object' && key !== null)
    .filter((key) => key.use === undefined || key.use === 'sig');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function trustedKeyOf(jwk: Record<string, unknown>, path: string): TrustedKey {
  const algorithm = stringIn(jwk, 'alg');
  try {
    const secret = stringIn(jwk, 'k');
    if (jwk.kty === 'oct' && secret !== undefined) {
      return { key: createSecretKey(Buffer.from(secret, 'base64url')), algorithm };
    }
    return { key: createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }), algorithm };
  } catch (cause) {
    throw new Error(`${path}: key ${stringIn(jwk, 'kid') ?? '(no kid)'} cannot be used`, { cause });
  }
}

function stringIn(jwk: Record<string, unknown>, field: string): string | undefined {
  const value = jwk[field];
  return typeof value === 'string' ? value : undefined;
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648 section 6, for a multiple of five bytes. */
function base32(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 5) {
    let group = BigInt(`0x${bytes.subarray(at, at + 5).toString('hex')}`);
    let part = '';
    for (let digit = 0; digit < 8; digit += 1) {
      part = BASE32[Number(group & 31n)] + part;
      group >>= 5n;
    }
    text += part;
  }
  return text;
}
