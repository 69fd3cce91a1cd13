import { randomUUID } from 'node:crypto';
import { decodeProtectedHeader, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { type AccessEntry, parseAccessClaim } from './grants.ts';
import type { SigningKey } from './signing-key.ts';

/** Seconds by which the clocks of nodes may differ. */
const LEEWAY = 60;

export interface AccessTokenSettings {
  issuer: string;
  service: string;
  lifetimeSeconds: number;
}

/** What one of our own access tokens says. */
export interface AccessTokenClaims {
  /** Undefined for a token without a login. */
  user: string | undefined;
  /** State of the account when the token was made (Accounts.stateOf). */
  state: string | undefined;
  access: AccessEntry[];
  /** Milliseconds since the epoch. */
  expires: number;
}

/** The short-lived JWTs that our token endpoint hands out, in the form of distribution's token specification. */
export class AccessTokens {
  readonly settings: AccessTokenSettings;
  readonly #key: SigningKey;
  readonly #now: () => number;

  constructor(key: SigningKey, settings: AccessTokenSettings, now: () => number = Date.now) {
    this.#key = key;
    this.settings = settings;
    this.#now = now;
  }

  /** A token for `user`, and when it was made (milliseconds since the epoch). */
  async issue(
    user: string | undefined,
    state: string | undefined,
    access: AccessEntry[],
  ): Promise<{ token: string; issuedAt: number }> {
    const issuedAt = this.#now();
    const seconds = Math.floor(issuedAt / 1000);
    const { issuer, service, lifetimeSeconds } = this.settings;
    const token = await new SignJWT({ access, ...(state !== undefined && { state }) })
      .setProtectedHeader({ alg: this.#key.algorithm, kid: this.#key.keyId, typ: 'JWT' })
      .setIssuer(issuer)
      .setSubject(user ?? '')
      .setAudience(service)
      .setIssuedAt(seconds)
      .setNotBefore(seconds)
      .setExpirationTime(seconds + lifetimeSeconds)
      .setJti(randomUUID())
      .sign(this.#key.privateKey);
    return { token, issuedAt };
  }

  /** What a token of ours says; undefined for one that is forged, expired, or for somebody else. */
  async verify(token: string): Promise<AccessTokenClaims | undefined> {
    const payload = await this.#payload(token);
    const access = parseAccessClaim(payload?.access);
    if (payload?.exp === undefined || access === undefined) return undefined;
    return {
      user: payload.sub || undefined,
      state: typeof payload.state === 'string' ? payload.state : undefined,
      access,
      expires: (payload.exp + LEEWAY) * 1000,
    };
  }

  async #payload(token: string): Promise<JWTPayload | undefined> {
    try {
      if (decodeProtectedHeader(token).kid !== this.#key.keyId) return undefined;
      const { payload } = await jwtVerify(token, this.#key.publicKey, {
        algorithms: [this.#key.algorithm],
        issuer: this.settings.issuer,
        audience: this.settings.service,
        clockTolerance: LEEWAY,
        currentDate: new Date(this.#now()),
        requiredClaims: ['exp', 'sub'],
      });
      return payload;
    } catch {
      // Every failure of the library is a fault of the token.
      return undefined;
    }
  }
}
