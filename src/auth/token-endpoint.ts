import type { Context } from 'koa';
import { queryValue, queryValues, readBody } from '../../protocols/http.ts';
import { RefusalError, registryError } from '../../protocols/registry.ts';
import { RegistryError } from '../../storage/errors.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { AccountAccess } from './account-access.ts';
import type { Accounts } from './accounts.ts';
import type { Challenges } from './challenges.ts';
import { basicHeader, parseCredentials } from './credentials.ts';
import { type AccessEntry, parseScopes } from './grants.ts';
import type { AccessRules } from './rules.ts';
import type { SealedTokens } from './sealed-tokens.ts';

const LARGEST_FORM = 64 * 1024;

/** Engines that put a refresh token in the place of the password, and then have none for V1. */
const FORGETS_PASSWORD = /^docker\/1\.1[0-3]\./;

const ACTIONS = ['pull', 'push', 'delete'] as const;

export interface TokenEndpointParts {
  access: AccountAccess;
  accounts: Accounts;
  rules: AccessRules;
  challenges: Challenges;
  tokens: AccessTokens;
  refreshTokens: SealedTokens;
  /** Seconds that a refresh token is good for. */
  refreshSeconds: number;
  now?: () => number;
}

interface TokenRequest {
  /** Undefined for a client without a login. */
  user: string | undefined;
  scopes: string[];
  /** To answer with: one that came, or a new one; undefined for none. */
  refreshToken: string | undefined;
}

/**
 * Our own token server (v2.md 5.3): `GET` with Basic or nothing, as docker asks, and `POST` with an OAuth2 form. A
 * token grants what was asked for as far as the rules allow, and is given even where that is nothing.
 */
export class TokenEndpoint {
  readonly #parts: TokenEndpointParts;
  readonly #now: () => number;

  constructor(parts: TokenEndpointParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
  }

  async handle(ctx: Context): Promise<void> {
    ctx.set('Cache-Control', 'no-store');
    try {
      await this.#answer(ctx, await this.#read(ctx));
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      refuse(ctx, error);
    }
  }

  #read(ctx: Context): Promise<TokenRequest> {
    if (ctx.method === 'GET' || ctx.method === 'HEAD') return this.#readQuery(ctx);
    if (ctx.method === 'POST') return this.#readForm(ctx);
    throw new RefusalError('METHOD_NOT_ALLOWED', 'tokens are had by GET or POST', {
      Allow: 'GET, HEAD, POST',
    });
  }

  async #readQuery(ctx: Context): Promise<TokenRequest> {
    this.#requireService(queryValue(ctx, 'service'));
    const header = ctx.get('authorization');
    const credentials = parseCredentials(header);
    const scopes = queryValues(ctx, 'scope');
    if (credentials.kind === 'none') {
      if (!this.#parts.rules.grantsAnonymous) throw this.#wrongLogin();
      return { user: undefined, scopes, refreshToken: undefined };
    }
    const good =
      credentials.kind === 'basic' && (await this.#parts.access.knowsPassword(header, ctx.ip));
    if (!good) throw this.#wrongLogin();
    const { user } = credentials;
    const offline =
      queryValue(ctx, 'offline_token') === 'true' && !FORGETS_PASSWORD.test(ctx.get('user-agent'));
    return { user, scopes, refreshToken: offline ? this.#refreshTokenFor(user) : undefined };
  }

  async #readForm(ctx: Context): Promise<TokenRequest> {
    const form = new URLSearchParams((await readBody(ctx.req, LARGEST_FORM)).toString());
    this.#requireService(form.get('service') ?? undefined);
    const scopes = form.getAll('scope');
    const grant = form.get('grant_type');
    if (grant === 'refresh_token') {
      const refreshToken = form.get('refresh_token') ?? '';
      return { user: this.#userOf(refreshToken), scopes, refreshToken };
    }
    if (grant !== 'password') {
      throw oauthError('unsupported_grant_type', 'expected grant_type password or refresh_token');
    }
    const user = form.get('username') ?? '';
    const header = basicHeader(user, form.get('password') ?? '');
    const good = header !== undefined && (await this.#parts.access.knowsPassword(header, ctx.ip));
    if (!good) throw oauthError('invalid_grant', 'wrong user name or password');
    const offline = form.get('access_type') === 'offline';
    return { user, scopes, refreshToken: offline ? this.#refreshTokenFor(user) : undefined };
  }

  async #answer(ctx: Context, request: TokenRequest): Promise<void> {
    const { tokens, accounts } = this.#parts;
    const { user, refreshToken } = request;
    const state = user === undefined ? undefined : accounts.stateOf(user);
    const { token, issuedAt } = await tokens.issue(user, state, this.#granted(request));
    ctx.body = {
      token,
      access_token: token,
      token_type: 'Bearer',
      expires_in: tokens.settings.lifetimeSeconds,
      issued_at: new Date(issuedAt).toISOString(),
      ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    };
  }

  /** What was asked for, without what the rules refuse. */
  #granted({ user, scopes }: TokenRequest): AccessEntry[] {
    const permissions = this.#parts.rules.of(user);
    const granted: AccessEntry[] = [];
    for (const { type, name, actions } of parseScopes(scopes)) {
      const all = actions.includes('*');
      if (type === 'registry' && name === 'catalog') {
        const may = all && permissions.may({ type: 'catalog' });
        granted.push({ type, name, actions: may ? ['*'] : [] });
      } else if (type === 'repository') {
        const may = ACTIONS.filter(
          (action) => (all || actions.includes(action)) && permissions.may({ type, name, action }),
        );
        granted.push({ type, name, actions: may });
      }
    }
    return granted.filter(({ actions }) => actions.length > 0);
  }

  #refreshTokenFor(user: string): string {
    const { refreshTokens, refreshSeconds, accounts, tokens } = this.#parts;
    const exp = Math.floor(this.#now() / 1000) + refreshSeconds;
    const { service } = tokens.settings;
    return refreshTokens.seal({ exp, user, service, state: accounts.stateOf(user) });
  }

  /** Throws when the refresh token is not ours, is out of date, or was made for another password. */
  #userOf(refreshToken: string): string {
    const { refreshTokens, accounts, tokens } = this.#parts;
    accounts.refresh();
    const claims = refreshTokens.open(refreshToken, this.#now() / 1000);
    const { user, state, service } = claims ?? { exp: 0 };
    const good =
      typeof user === 'string' &&
      state !== undefined &&
      state === accounts.stateOf(user) &&
      service === tokens.settings.service;
    if (!good) throw oauthError('invalid_grant', 'the refresh token is not good; log in again');
    return user;
  }

  #requireService(asked: string | undefined): void {
    const { service } = this.#parts.tokens.settings;
    if (asked === undefined || asked === '' || asked === service) return;
    throw oauthError('invalid_request', `tokens are for the service "${service}" only`);
  }

  #wrongLogin(): RefusalError {
    return new RefusalError('UNAUTHORIZED', 'authentication required', {
      'WWW-Authenticate': this.#parts.challenges.basic(),
    });
  }
}

/** RFC 6749 section 5.2. */
function oauthError(error: string, description: string): RegistryError {
  return registryError('REQUEST_INVALID', description, { detail: { error } });
}

const STATUS: Record<string, number> = {
  UNAUTHORIZED: 401,
  METHOD_NOT_ALLOWED: 405,
  TOO_LARGE: 413,
  TOOMANYREQUESTS: 429,
};

/** Docker reads the registry's form of an error, OAuth2 clients read their own; one body has both. */
function refuse(ctx: Context, error: RegistryError): void {
  const { detail, message } = error;
  const oauth =
    typeof detail === 'object' && detail !== null && 'error' in detail ? detail.error : undefined;
  const code = oauth === 'invalid_grant' ? 'UNAUTHORIZED' : error.code;
  ctx.status = STATUS[error.code] ?? 400;
  if (error instanceof RefusalError) ctx.set(error.headers);
  ctx.body = {
    error: oauth ?? 'invalid_request',
    error_description: message,
    errors: [{ code: code === 'REQUEST_INVALID' ? 'UNSUPPORTED' : code, message }],
  };
}
