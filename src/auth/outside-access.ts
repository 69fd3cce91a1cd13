import type { Access, AccessControl, AccessRequest, Session } from '../../protocols/registry.ts';
import type { OutsideTokens } from './bearer.ts';
import { type Challenges, denied } from './challenges.ts';
import { type Believed, CredentialCache } from './credential-cache.ts';
import { parseCredentials } from './credentials.ts';
import { Grants } from './grants.ts';
import type { AccessRules } from './rules.ts';

interface Identity {
  session: Session;
  listing: Session;
}

export interface OutsideAccessParts {
  tokens: OutsideTokens;
  rules: AccessRules;
  challenges: Challenges;
  now?: () => number;
}

/**
 * Access by tokens of an outside server, which decides what each may do. Rules may be added: those for anyone open
 * what they name without a token; those for users, where there are any, narrow what a token grants.
 */
export class OutsideAccess implements AccessControl {
  readonly accounts = true;
  readonly #parts: OutsideAccessParts;
  readonly #known = new CredentialCache<Identity>();
  readonly #anonymous: Session;

  constructor(parts: OutsideAccessParts) {
    this.#parts = parts;
    const permissions = parts.rules.of(undefined);
    this.#anonymous = { user: undefined, may: (access) => permissions.may(access) };
  }

  authorize(request: AccessRequest, wanted: readonly Access[]): Session | Promise<Session> {
    const credentials = parseCredentials(request.authorization);
    if (credentials.kind === 'none') return this.#withoutToken(request, wanted);
    if (credentials.kind !== 'bearer') throw this.#parts.challenges.unauthorized(request, wanted);
    const { token } = credentials;
    const now = (this.#parts.now ?? Date.now)();
    const identity = this.#known.resolve(token, now, () => this.#check(token));
    return identity instanceof Promise
      ? identity.then((found) => this.#settle(found, request, wanted))
      : this.#settle(identity, request, wanted);
  }

  async #check(token: string): Promise<Believed<Identity> | undefined> {
    const verified = await this.#parts.tokens.verify(token);
    if (verified === undefined) return undefined;
    const { user, access: entries, expires } = verified;
    const grants = new Grants(entries);
    const may = (access: Access) => this.#allows(user, access, grants.may(access));
    // A token for the catalog names no repositories: distribution lists them all to it.
    const mayList = (access: Access) =>
      this.#allows(user, access, grants.may(access) || grants.may({ type: 'catalog' }));
    return {
      value: { session: { user, may }, listing: { user, may: mayList } },
      until: expires,
    };
  }

  #allows(user: string | undefined, access: Access, granted: boolean): boolean {
    const { rules } = this.#parts;
    if (this.#anonymous.may(access)) return true;
    return granted && (!rules.grantsUsers || rules.of(user).may(access));
  }

  #settle(
    identity: Identity | undefined,
    request: AccessRequest,
    wanted: readonly Access[],
  ): Session {
    const { challenges, rules } = this.#parts;
    if (identity === undefined) throw challenges.unauthorized(request, wanted, 'invalid_token');
    const { session, listing } = identity;
    for (const access of wanted) {
      if (session.may(access)) continue;
      const hopeless = rules.grantsUsers && !rules.of(session.user).may(access);
      if (hopeless && session.user !== undefined) throw denied(access, session.user);
      throw challenges.unauthorized(request, wanted, 'insufficient_scope');
    }
    return wanted.some((access) => access.type === 'catalog') ? listing : session;
  }

  #withoutToken(request: AccessRequest, wanted: readonly Access[]): Session {
    const open =
      wanted.length > 0
        ? wanted.every((access) => this.#anonymous.may(access))
        : request.protocol === 'v1' && this.#parts.rules.grantsAnonymous;
    if (open) return this.#anonymous;
    throw this.#parts.challenges.unauthorized(request, wanted);
  }
}
