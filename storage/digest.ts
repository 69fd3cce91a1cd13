import { createHash, type Hash } from 'node:crypto';
import type { Brand } from './brand.ts';
import { storageError } from './errors.ts';

/** A content address, `sha256:<64 hex>` or `sha512:<128 hex>` (OCI image-spec, "Digests"). */
export type Digest = string & Brand<'Digest'>;

export type DigestAlgorithm = 'sha256' | 'sha512';

const HEX_LENGTH: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 };
const DIGEST = /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** The checked digest; throws DIGEST_INVALID that says what is wrong with it. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw storageError('DIGEST_INVALID', `invalid digest: ${explain(text)}`, {
    detail: text.slice(0, 200),
  });
}

function explain(text: string): string {
  const colon = text.indexOf(':');
  if (colon < 1) return 'expected <algorithm>:<hex>, such as sha256:…';
  const algorithm = text.slice(0, colon);
  if (!isAlgorithm(algorithm)) return 'the algorithm must be sha256 or sha512';
  return `${algorithm} takes exactly ${HEX_LENGTH[algorithm]} lower-case hex digits`;
}

export function isAlgorithm(text: string): text is DigestAlgorithm {
  return text === 'sha256' || text === 'sha512';
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, 6) as DigestAlgorithm;
}

/** The hex digits after the colon. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

export function digestOf(
  bytes: Uint8Array | string,
  algorithm: DigestAlgorithm = 'sha256',
): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** The digest of everything a hash has been fed so far; the hash can go on. */
export function digestSoFar(hash: Hash, algorithm: DigestAlgorithm): Digest {
  return `${algorithm}:${hash.copy().digest('hex')}` as Digest;
}
