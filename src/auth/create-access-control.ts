import type Koa from 'koa';
import type {
  Access,
  AccessControl,
  AccessRequest,
  Logger,
  Session,
} from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import type { AuthConfig, HtpasswdConfig, OutsideTokenConfig } from '../config/auth.ts';
import type { HttpConfig } from '../config/http.ts';
import type { V1Config } from '../config/protocols.ts';
import { openAccess } from '../open-access.ts';
import { AccessTokens } from './access-tokens.ts';
import { AccountAccess } from './account-access.ts';
import { Accounts } from './accounts.ts';
import { OutsideTokens } from './bearer.ts';
import { addressOf, Challenges, type TokenService } from './challenges.ts';
import { FailureLimit } from './failure-limit.ts';
import { HtpasswdFile } from './htpasswd.ts';
import { IndexTokenAccess } from './index-tokens.ts';
import { OutsideAccess } from './outside-access.ts';
import { AccessRules } from './rules.ts';
import { SealedTokens } from './sealed-tokens.ts';
import { loadSigningKey } from './signing-key.ts';
import { SillyAccess } from './silly-access.ts';
import { TokenEndpoint } from './token-endpoint.ts';
import { loadTrustedKeys } from './trusted-keys.ts';
import { V1Sessions } from './v1-sessions.ts';

/** The settings that access control depends on; a whole `Config` will do. */
export interface AccessSettings {
  auth: AuthConfig;
  http: Pick<HttpConfig, 'urls' | 'secret'>;
  protocols: { v1: Pick<V1Config, 'standalone' | 'indexEndpoint' | 'disableTokenAuth'> };
}

/** As long as the longest push, where no token endpoint says otherwise. */
const V1_LIFETIME_SECONDS = 6 * 3600;

interface Assembled {
  access: AccessControl;
  endpoint: { paths: readonly string[]; service: TokenEndpoint } | undefined;
}

/** The access control that the settings ask for, which can be given others while it works. */
export class ConfiguredAccess implements AccessControl {
  readonly #driver: StorageDriver;
  readonly #log: Logger;
  #current: Assembled;
  /** Answers on the path of the token endpoint, where there is one; belongs beside the protocols. */
  readonly middleware: Koa.Middleware = (ctx, next) => {
    const { endpoint } = this.#current;
    return endpoint?.paths.includes(ctx.path) ? endpoint.service.handle(ctx) : next();
  };

  constructor(assembled: Assembled, driver: StorageDriver, log: Logger) {
    this.#current = assembled;
    this.#driver = driver;
    this.#log = log;
  }

  get accounts(): boolean {
    return this.#current.access.accounts;
  }

  authorize(request: AccessRequest, wanted: readonly Access[]): Session | Promise<Session> {
    return this.#current.access.authorize(request, wanted);
  }

  issueV1Token(
    session: Session,
    repository: string,
    action: 'read' | 'write' | 'delete',
  ): string | undefined {
    return this.#current.access.issueV1Token?.(session, repository, action);
  }

  /** Takes new settings (signal HUP). Throws, and keeps the old ones, when they cannot work. */
  async reload(settings: AccessSettings): Promise<void> {
    this.#current = await assemble(settings, this.#driver, this.#log);
    this.#log.info('access control reloaded');
  }
}

/** Builds the access control of these settings. Throws an Error that names the setting which cannot work. */
export async function createAccessControl(
  settings: AccessSettings,
  driver: StorageDriver,
  log: Logger,
): Promise<ConfiguredAccess> {
  return new ConfiguredAccess(await assemble(settings, driver, log), driver, log);
}

async function assemble(
  settings: AccessSettings,
  driver: StorageDriver,
  log: Logger,
): Promise<Assembled> {
  const { standalone, disableTokenAuth, indexEndpoint } = settings.protocols.v1;
  const assembled = await assembleAccounts(settings, driver, log);
  if (standalone || disableTokenAuth)
    return assembled ?? { access: openAccess, endpoint: undefined };
  if (!assembled) {
    log.warn('V2 is closed: V1 tokens are checked by an index, and there are no accounts', {
      index: indexEndpoint,
    });
  }
  const access = new IndexTokenAccess({
    endpoint: indexEndpoint.replace(/\/+$/, ''),
    otherwise: assembled?.access,
    log,
  });
  return { access, endpoint: assembled?.endpoint };
}

async function assembleAccounts(
  settings: AccessSettings,
  driver: StorageDriver,
  log: Logger,
): Promise<Assembled | undefined> {
  const { silly, token, htpasswd } = settings.auth;
  if (htpasswd) return assembleHtpasswd(settings, htpasswd, driver, log);
  if (token) return { access: await outsideAccess(settings.auth, token), endpoint: undefined };
  if (!silly) return undefined;
  const challenges = new Challenges(silly.realm, {
    realm: () => silly.realm,
    service: silly.service,
  });
  return { access: new SillyAccess(challenges), endpoint: undefined };
}

async function outsideAccess(auth: AuthConfig, config: OutsideTokenConfig): Promise<OutsideAccess> {
  const { autoRedirectPath, service } = config;
  const challenges = new Challenges(auth.realm, {
    realm: (request) =>
      autoRedirectPath === undefined ? config.realm : addressOf(request, autoRedirectPath),
    service,
  });
  return new OutsideAccess({
    tokens: new OutsideTokens(config, await loadTrustedKeys(config)),
    rules: new AccessRules(auth.rules, auth.groups),
    challenges,
  });
}

async function assembleHtpasswd(
  { auth, http }: AccessSettings,
  htpasswd: HtpasswdConfig,
  driver: StorageDriver,
  log: Logger,
): Promise<Assembled> {
  const { realm, tokenEndpoint: config } = auth;
  const key = await loadSigningKey(driver, { file: config?.keyFile, secret: http.secret });
  const accounts = new Accounts(
    new HtpasswdFile(htpasswd.path, log),
    new FailureLimit(auth.failuresPerMinute),
    key.secretFor('account states'),
  );
  const rules = new AccessRules(auth.rules, auth.groups);
  const tokens = config && new AccessTokens(key, config);
  const service: TokenService | undefined = config && {
    realm: (request) => addressOf(request, config.path, http.urls),
    service: config.service,
  };
  const challenges = new Challenges(realm, service);
  const access = new AccountAccess({
    accounts,
    rules,
    challenges,
    passwordCacheSeconds: auth.passwordCacheSeconds,
    tokens,
    v1Sessions: new V1Sessions(
      new SealedTokens(key.secretFor('v1 tokens')),
      config?.v1LifetimeSeconds ?? V1_LIFETIME_SECONDS,
    ),
  });
  if (!config || !tokens) return { access, endpoint: undefined };
  const endpoint = new TokenEndpoint({
    access,
    accounts,
    rules,
    challenges,
    tokens,
    refreshTokens: new SealedTokens(key.secretFor('refresh tokens')),
    refreshSeconds: config.refreshSeconds,
  });
  return {
    access,
    endpoint: { paths: [config.path, http.urls.prefix + config.path], service: endpoint },
  };
}
