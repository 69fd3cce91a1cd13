import type { AccessControl, Logger } from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import type { AuthConfig, HtpasswdConfig, OutsideTokenConfig } from '../config/auth.ts';
import { openAccess } from '../open-access.ts';
import type { Peers } from '../peers.ts';
import { AccessTokens } from './access-tokens.ts';
import { AccountAccess } from './account-access.ts';
import { Accounts } from './accounts.ts';
import { OutsideTokens } from './bearer.ts';
import { addressOf, Challenges, type TokenService } from './challenges.ts';
import type { AccessSettings } from './create-access-control.ts';
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

/** As long as the longest push, where no token endpoint says otherwise. */
const V1_LIFETIME_SECONDS = 6 * 3600;

/** The access control of some settings, and its token endpoint where it has one. */
export interface Assembled {
  access: AccessControl;
  endpoint: { paths: readonly string[]; service: TokenEndpoint } | undefined;
}

/** Builds the access control of these settings. Throws an Error that names the setting which cannot work. */
export async function assembleAccess(
  settings: AccessSettings,
  driver: StorageDriver,
  log: Logger,
  peers: Peers,
): Promise<Assembled> {
  const { standalone, disableTokenAuth, indexEndpoint } = settings.protocols.v1;
  const assembled = await assembleAccounts(settings, driver, log, peers);
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
  peers: Peers,
): Promise<Assembled | undefined> {
  const { silly, token, htpasswd } = settings.auth;
  if (htpasswd) return assembleHtpasswd(settings, htpasswd, driver, log, peers);
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
  peers: Peers,
): Promise<Assembled> {
  const { realm, tokenEndpoint: config } = auth;
  const key = await loadSigningKey(driver, { file: config?.keyFile, secret: http.secret });
  const accounts = new Accounts(
    new HtpasswdFile(htpasswd.path, log),
    new FailureLimit(auth.failuresPerMinute, peers),
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
