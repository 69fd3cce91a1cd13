import type { KeyObject } from 'node:crypto';
import {
  decodeProtectedHeader,
  type JWTPayload,
  jwtVerify,
  type ProtectedHeaderParameters,
} from 'jose';
import type { OutsideTokenConfig } from '../config/auth.ts';
import { keyOfChain } from './certificate-chain.ts';
import { type AccessEntry, parseAccessClaim } from './grants.ts';
import type { TrustedKey, TrustedKeys } from './trusted-keys.ts';

/** Seconds by which the token server's clock may differ from ours, as in distribution. */
const LEEWAY = 60;

/** What a token of the outside server says. */
export interface OutsideToken {
  user: string | undefined;
  access: AccessEntry[];
  /** Milliseconds since the epoch. */
  expires: number;
}

/** Checks tokens of an outside token server as distribution does (v2.md 5.3). */
export class OutsideTokens {
  readonly #config: Pick<OutsideTokenConfig, 'issuer' | 'service' | 'signingAlgorithms'>;
  readonly #keys: TrustedKeys;
  readonly #now: () => number;

  constructor(
    config: Pick<OutsideTokenConfig, 'issuer' | 'service' | 'signingAlgorithms'>,
    keys: TrustedKeys,
    now: () => number = Date.now,
  ) {
    this.#config = config;
    this.#keys = keys;
    this.#now = now;
  }

  /** What the token says; undefined unless a trusted key signed it, for us, and for now. */
  async verify(token: string): Promise<OutsideToken | undefined> {
    const payload = await this.#payload(token);
    const access = parseAccessClaim(payload?.access);
    if (payload?.exp === undefined || access === undefined) return undefined;
    return { user: payload.sub || undefined, access, expires: (payload.exp + LEEWAY) * 1000 };
  }

  async #payload(token: string): Promise<JWTPayload | undefined> {
    try {
      const header = decodeProtectedHeader(token);
      const { alg } = header;
      const trusted = this.#keyFor(header);
      if (alg === undefined || trusted === undefined || !fits(alg, trusted)) return undefined;
      const { payload } = await jwtVerify(token, trusted.key, {
        algorithms: this.#config.signingAlgorithms,
        issuer: this.#config.issuer,
        audience: this.#config.service,
        clockTolerance: LEEWAY,
        currentDate: new Date(this.#now()),
        requiredClaims: ['exp'],
      });
      return payload;
    } catch {
      // Every failure of the library is a fault of the token.
      return undefined;
    }
  }

  /** A certificate chain goes before a key in the header, and that before the name of one. */
  #keyFor({ x5c, jwk, kid }: ProtectedHeaderParameters): TrustedKey | undefined {
    if (x5c !== undefined) return this.#keyOfChain(x5c);
    if (jwk === undefined) return kid === undefined ? undefined : this.#keys.byId.get(kid);
    if (jwk.x5c !== undefined) return this.#keyOfChain(jwk.x5c);
    // The key in the header is the word of whoever made the token: only its name counts.
    const name = 'kid' in jwk && typeof jwk.kid === 'string' ? jwk.kid : kid;
    return name === undefined ? undefined : this.#keys.byId.get(name);
  }

  #keyOfChain(x5c: unknown): TrustedKey | undefined {
    if (!Array.isArray(x5c) || !x5c.every((text) => typeof text === 'string')) return undefined;
    const key = keyOfChain(x5c, this.#keys.roots, new Date(this.#now()));
    return key && { key, algorithm: undefined };
  }
}

const CURVES: Record<string, string> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

/** Whether a key may be used with an algorithm: a public key must never pass as a shared secret. */
function fits(algorithm: string, { key, algorithm: only }: TrustedKey): boolean {
  if (only !== undefined && only !== algorithm) return false;
  if (/^HS\d+$/.test(algorithm)) return key.type === 'secret';
  if (key.type !== 'public') return false;
  return fitsPublicKey(algorithm, key);
}

function fitsPublicKey(algorithm: string, key: KeyObject): boolean {
  if (/^[RP]S\d+$/.test(algorithm)) return key.asymmetricKeyType === 'rsa';
  if (algorithm === 'EdDSA') return key.asymmetricKeyType === 'ed25519';
  const curve = CURVES[algorithm];
  return curve !== undefined && key.asymmetricKeyDetails?.namedCurve === curve;
}
