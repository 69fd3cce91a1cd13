import { createHash, timingSafeEqual } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';

export type HashKind = 'bcrypt' | 'apr1' | 'sha';

const BCRYPT = /^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;
const APR1 = /^\$apr1\$([./A-Za-z0-9]{1,8})\$[./A-Za-z0-9]{22}$/;
const SHA = /^\{SHA\}[A-Za-z0-9+/]{27}=$/;
const APR1_ROUNDS = 1000;
const ROUNDS_A_TURN = 100;

/** The kind of a hash in an htpasswd file; undefined for one that is not understood (crypt, plain text, …). */
export function kindOfHash(hash: string): HashKind | undefined {
  if (BCRYPT.test(hash)) return 'bcrypt';
  if (APR1.test(hash)) return 'apr1';
  return SHA.test(hash) ? 'sha' : undefined;
}

/** The cost of a bcrypt hash; undefined for another kind. */
export function bcryptCost(hash: string): number | undefined {
  const cost = BCRYPT.exec(hash)?.[1];
  return cost === undefined ? undefined : Number(cost);
}

/** A well-formed bcrypt hash of no known password, which costs as much to check as one of an account. */
export function dummyHash(cost: number): string {
  return `$2b$${String(cost).padStart(2, '0')}$abcdefghijklmnopqrstuu${'b'.repeat(31)}`;
}

/** Whether `password` is the one of `hash`; false for a kind that is not understood. Leaves the event loop free. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  switch (kindOfHash(hash)) {
    case 'bcrypt':
      return verifyBcrypt(password, hash);
    case 'apr1':
      return same(await apr1(password, APR1.exec(hash)?.[1] ?? ''), hash);
    case 'sha':
      return same(`{SHA}${createHash('sha1').update(password).digest('base64')}`, hash);
    default:
      return false;
  }
}

function same(computed: string, stored: string): boolean {
  const [a, b] = [Buffer.from(computed), Buffer.from(stored)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Apache's variant of FreeBSD's MD5 crypt, with a pause now and then for other requests. */
async function apr1(password: string, salt: string): Promise<string> {
  const secret = Buffer.from(password);
  const inner = md5(secret, salt, secret);
  const parts: (Buffer | string)[] = [secret, '$apr1$', salt];
  for (let left = secret.length; left > 0; left -= 16) parts.push(inner.subarray(0, left));
  for (let bits = secret.length; bits > 0; bits >>= 1) {
    parts.push(bits & 1 ? '\0' : secret.subarray(0, 1));
  }
  let digest = md5(...parts);
  for (let round = 0; round < APR1_ROUNDS; round += 1) {
    digest = md5(
      round & 1 ? secret : digest,
      round % 3 ? salt : '',
      round % 7 ? secret : '',
      round & 1 ? digest : secret,
    );
    if (round % ROUNDS_A_TURN === 0) await nextTurn();
  }
  return `$apr1$${salt}$${encodeApr1(digest)}`;
}

function md5(...parts: (Buffer | string)[]): Buffer {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** The order in which crypt takes the bytes of a digest, three for each four characters. */
const ORDER = [
  [0, 6, 12],
  [1, 7, 13],
  [2, 8, 14],
  [3, 9, 15],
  [4, 10, 5],
] as const;

function encodeApr1(digest: Buffer): string {
  const byte = (at: number) => digest[at] ?? 0;
  const groups = ORDER.map(([a, b, c]) => base64((byte(a) << 16) | (byte(b) << 8) | byte(c), 4));
  return groups.join('') + base64(byte(11), 2);
}

function base64(value: number, characters: number): string {
  let text = '';
  for (let at = 0; at < characters; at += 1) text += ALPHABET[(value >> (6 * at)) & 63];
  return text;
}
