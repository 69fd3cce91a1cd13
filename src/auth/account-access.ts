import type { Access, AccessControl, AccessRequest, Session } from '../../protocols/registry.ts';
import type { RegistryError } from '../../storage/errors.ts';
import type { AccessTokenClaims, AccessTokens } from './access-tokens.ts';
import type { Accounts } from './accounts.ts';
import { type Challenges, denied } from './challenges.ts';
import { type Believed, CredentialCache } from './credential-cache.ts';
import { parseCredentials, type V1TokenFields } from './credentials.ts';
import { Grants } from './grants.ts';
import type { AccessRules } from './rules.ts';
import { isWithin, type V1Access, type V1Sessions } from './v1-sessions.ts';

/** What credentials stand for. */
interface Identity {
  session: Session;
  /** The session for a look at the catalog. */
  listing: Session;
  /** Credentials of this kind never do more than the rules let their user do. */
  kind: 'nobody' | 'password' | 'token' | 'v1';
}

export interface AccountAccessParts {
  accounts: Accounts;
  rules: AccessRules;
  challenges: Challenges;
  /** Seconds that a good password is believed without being hashed again. */
  passwordCacheSeconds: number;
  /** Our own Bearer tokens; undefined where the token endpoint is off. */
  tokens: AccessTokens | undefined;
  v1Sessions: V1Sessions;
  now?: () => number;
}

const V1_ACTIONS = { read: 'pull', write: 'push', delete: 'delete' } as const;

/**
 * Access by accounts and rules: with a name and a password (Basic), with a token of our own endpoint (Bearer), or
 * with a token of V1's index routes. Credentials that are known to be good are answered for without waiting.
 */
export class AccountAccess implements AccessControl {
  readonly accounts = true;
  readonly #parts: AccountAccessParts;
  readonly #now: () => number;
  readonly #known = new CredentialCache<Identity>();
  readonly #nobody: Identity;
  #generation = 0;

  constructor(parts: AccountAccessParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
    const session = this.#sessionOf(undefined);
    this.#nobody = { session, listing: session, kind: 'nobody' };
  }

  authorize(request: AccessRequest, wanted: readonly Access[]): Session | Promise<Session> {
    const { authorization, address } = request;
    if (authorization === undefined) return this.#withoutLogin(request, wanted);
    const identity = this.#identify(authorization, address);
    return identity instanceof Promise
      ? identity.then((found) => this.#settle(found, request, wanted))
      : this.#settle(identity, request, wanted);
  }

  issueV1Token(session: Session, repository: string, action: V1Access): string {
    const access: Access = { type: 'repository', name: repository, action: V1_ACTIONS[action] };
    if (!session.may(access)) throw denied(access, session.user);
    const { user } = session;
    const state = user === undefined ? undefined : this.#parts.accounts.stateOf(user);
    return this.#parts.v1Sessions.issue({ user, state, repository, access: action });
  }

  /**
   * Whether name and password in this Basic header are good, for the token endpoint; good ones are remembered as for
   * every other request. Throws TOOMANYREQUESTS.
   */
  async knowsPassword(header: string, address: string): Promise<boolean> {
    return (await this.#identify(header, address))?.kind === 'password';
  }

  #identify(header: string, address: string): Identity | Promise<Identity | undefined> {
    const generation = this.#parts.accounts.refresh();
    // Whatever was believed may have been an account that is no more.
    if (generation !== this.#generation) this.#known.clear();
    this.#generation = generation;
    return this.#known.resolve(header, this.#now(), () => this.#check(header, address));
  }

  async #check(header: string, address: string): Promise<Believed<Identity> | undefined> {
    const credentials = parseCredentials(header);
    switch (credentials.kind) {
      case 'none':
        return { value: this.#nobody, until: Number.POSITIVE_INFINITY };
      case 'basic':
        return this.#byPassword(credentials.user, credentials.password, address);
      case 'bearer':
        return this.#byToken(credentials.token);
      case 'v1':
        return this.#byV1Token(credentials.tokens);
      default:
        return undefined;
    }
  }

  async #byPassword(
    user: string,
    password: string,
    address: string,
  ): Promise<Believed<Identity> | undefined> {
    if (!(await this.#parts.accounts.check(user, password, address))) return undefined;
    const session = this.#sessionOf(user);
    const until = this.#now() + this.#parts.passwordCacheSeconds * 1000;
    return { value: { session, listing: session, kind: 'password' }, until };
  }

  async #byToken(token: string): Promise<Believed<Identity> | undefined> {
    const claims = await this.#parts.tokens?.verify(token);
    if (claims === undefined || !this.#isCurrent(claims)) return undefined;
    const grants = new Grants(claims.access);
    const all = this.#sessionOf(claims.user);
    const session: Session = {
      user: claims.user,
      may: (access) => grants.may(access) && all.may(access),
    };
    // A token for the catalog names no repositories: what its user may pull is what it lists.
    const listing: Session = {
      user: claims.user,
      may: (access) => (access.type === 'catalog' ? session : all).may(access),
    };
    return { value: { session, listing, kind: 'token' }, until: claims.expires };
  }

  /** The first good one counts: engines up to 1.6 send all tokens that they were given. */
  #byV1Token(tokens: readonly V1TokenFields[]): Believed<Identity> | undefined {
    for (const fields of tokens) {
      const token = this.#parts.v1Sessions.open(fields);
      if (token === undefined || !this.#isCurrent(token)) continue;
      const all = this.#sessionOf(token.user);
      const session: Session = {
        user: token.user,
        repository: token.repository,
        may: (access) => isWithin(token, access) && all.may(access),
      };
      return { value: { session, listing: session, kind: 'v1' }, until: token.expires };
    }
    return undefined;
  }

  /** Whether the account is still the one that the token was made for, with the same password. */
  #isCurrent({ user, state }: Pick<AccessTokenClaims, 'user' | 'state'>): boolean {
    if (user === undefined) return true;
    return state !== undefined && state === this.#parts.accounts.stateOf(user);
  }

  #settle(
    identity: Identity | undefined,
    request: AccessRequest,
    wanted: readonly Access[],
  ): Session {
    if (identity?.kind === 'nobody') return this.#withoutLogin(request, wanted);
    if (identity === undefined || (identity.kind === 'v1' && request.protocol === 'v2')) {
      throw this.#parts.challenges.unauthorized(request, wanted, problemOf(request));
    }
    const { session, listing } = identity;
    for (const access of wanted) {
      if (!session.may(access)) throw this.#refusal(identity, access, request, wanted);
    }
    return wanted.some((access) => access.type === 'catalog') ? listing : session;
  }

  /** Another token, or a login, helps where the rules would let this user do it; else nothing does. */
  #refusal(
    { session, kind }: Identity,
    access: Access,
    request: AccessRequest,
    wanted: readonly Access[],
  ): RegistryError {
    const { user } = session;
    const hopeless = user !== undefined && !this.#parts.rules.of(user).may(access);
    if (kind === 'password' || hopeless) return denied(access, user);
    return this.#parts.challenges.unauthorized(request, wanted, 'insufficient_scope');
  }

  /**
   * `/v2/` itself is never open without a login, or docker would not learn how to log in; V1's image routes name no
   * repository, and are open as soon as any is.
   */
  #withoutLogin(request: AccessRequest, wanted: readonly Access[]): Session {
    const { session } = this.#nobody;
    const open =
      wanted.length > 0
        ? wanted.every((access) => session.may(access))
        : request.protocol === 'v1' && this.#parts.rules.grantsAnonymous;
    if (open) return session;
    throw this.#parts.challenges.unauthorized(request, wanted);
  }

  #sessionOf(user: string | undefined): Session {
    const permissions = this.#parts.rules.of(user);
    return { user, may: (access) => permissions.may(access) };
  }
}

function problemOf({ authorization }: AccessRequest): 'invalid_token' | undefined {
  return /^\s*bearer\b/i.test(authorization ?? '') ? 'invalid_token' : undefined;
}
