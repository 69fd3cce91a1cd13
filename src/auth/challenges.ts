import {
  type Access,
  type AccessRequest,
  ChallengeError,
  registryError,
  type UrlPolicy,
} from '../../protocols/registry.ts';
import { detailOf, scopeOf } from './grants.ts';

export type TokenProblem = 'invalid_token' | 'insufficient_scope';

/** Where clients get tokens, and for which service. */
export interface TokenService {
  /** Undefined where the request does not tell by which address the client knows us. */
  realm(request: AccessRequest): string | undefined;
  service: string;
}

/** Tells clients how to log in, in the words of the protocol that they speak. */
export class Challenges {
  readonly #realm: string;
  readonly #tokens: TokenService | undefined;

  /** `realm` is that of Basic; without `tokens` V2 is challenged with Basic as well. */
  constructor(realm: string, tokens?: TokenService) {
    this.#realm = realm;
    this.#tokens = tokens;
  }

  /** 401. `problem` says what was wrong with a token that came. */
  unauthorized(
    request: AccessRequest,
    wanted: readonly Access[],
    problem?: TokenProblem,
  ): ChallengeError {
    const challenge =
      request.protocol === 'v1' ? this.#v1(request) : this.#v2(request, wanted, problem);
    return new ChallengeError(
      'authentication required',
      { 'WWW-Authenticate': challenge },
      detailOf(wanted),
    );
  }

  basic(): string {
    return `Basic realm=${quote(this.#realm)}`;
  }

  /** docker-registry said `Token` whatever came (v1.md 1.2); whoever came with Basic is told that it was wrong. */
  #v1({ authorization }: AccessRequest): string {
    return /^\s*basic\b/i.test(authorization ?? '') ? this.basic() : 'Token';
  }

  #v2(request: AccessRequest, wanted: readonly Access[], problem?: TokenProblem): string {
    const realm = this.#tokens?.realm(request);
    if (this.#tokens === undefined || realm === undefined) return this.basic();
    const fields = [`realm=${quote(realm)}`, `service=${quote(this.#tokens.service)}`];
    if (wanted.length > 0) fields.push(`scope=${quote(scopeOf(wanted))}`);
    if (problem !== undefined) fields.push(`error=${quote(problem)}`);
    return `Bearer ${fields.join(',')}`;
  }
}

/** 403: the credentials are good, and not enough. */
export function denied(access: Access, user: string | undefined) {
  const who = user === undefined ? 'this session' : `user ${user}`;
  const what =
    access.type === 'catalog' ? 'list the repositories' : `${access.action} ${access.name}`;
  return registryError(
    'DENIED',
    `requested access to the resource is denied: ${who} may not ${what}`,
    {
      detail: detailOf([access]),
    },
  );
}

/** The address of a path of ours as the client knows us; undefined when it sent no usable Host header. */
export function addressOf(
  { origin }: AccessRequest,
  path: string,
  urls?: UrlPolicy,
): string | undefined {
  if (urls?.host !== undefined) return `${urls.host}${path}`;
  if (!/^[A-Za-z0-9.:[\]_-]+$/.test(origin.host)) return undefined;
  return `${origin.scheme}://${origin.host}${urls?.prefix ?? ''}${path}`;
}

function quote(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
