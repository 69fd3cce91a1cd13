import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SigningKey } from './bridge/jws.ts';
import type { StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound } from './errors.ts';
import { storeRecord } from './paths.ts';

const PATH = storeRecord('schema1-key');

/**
 * The key that signs schema 1 manifests: from a file (JWK or PEM), else made once and kept in the store, so that all
 * workers and nodes have the same. Throws when the file is no P-256 key.
 */
export async function loadSigningKey(
  driver: StorageDriver,
  file: string | undefined,
): Promise<SigningKey> {
  if (file !== undefined) return readKeyFile(file);
  const kept = await ifFound(driver.get(PATH));
  if (kept) return SigningKey.fromJwk(JSON.parse(kept.toString()));
  const key = SigningKey.generate();
  try {
    await driver.put(PATH, JSON.stringify(key.toJwk()), { condition: 'absent', secret: true });
    return key;
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    return SigningKey.fromJwk(JSON.parse((await driver.get(PATH)).toString()));
  }
}

async function readKeyFile(file: string): Promise<SigningKey> {
  const text = await readFile(file, 'utf8');
  if (text.trimStart().startsWith('{')) return SigningKey.fromJwk(JSON.parse(text));
  return SigningKey.fromJwk(createPrivateKey(text).export({ format: 'jwk' }));
}
