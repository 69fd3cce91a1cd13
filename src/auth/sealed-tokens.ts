import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a sealed token says: its reader knows the fields by its purpose. */
export interface SealedClaims {
  /** Seconds since the epoch; the token is no good from then on. */
  exp: number;
  [claim: string]: string | number | undefined;
}

const LONGEST = 8192;

/**
 * Tokens that only we read: claims and an HMAC over them, checked without waiting. A key for each purpose keeps a
 * token of one kind from passing as another.
 */
export class SealedTokens {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  seal(claims: SealedClaims): string {
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${payload}.${this.#mac(payload).toString('base64url')}`;
  }

  /** The claims of a token that we sealed and that is still good; undefined for any other text. */
  open(token: string, nowSeconds: number): SealedClaims | undefined {
    const [payload = '', mac = '', more] = token.split('.');
    if (payload === '' || more !== undefined || token.length > LONGEST) return undefined;
    const [expected, given] = [this.#mac(payload), Buffer.from(mac, 'base64url')];
    if (expected.length !== given.length || !timingSafeEqual(expected, given)) return undefined;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as SealedClaims;
    return claims.exp > nowSeconds ? claims : undefined;
  }

  #mac(payload: string): Buffer {
    return createHmac('sha256', this.#key).update(payload).digest();
  }
}
