import type Koa from 'koa';
import type {
  Access,
  AccessControl,
  AccessRequest,
  Logger,
  Session,
} from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import type { AuthConfig } from '../config/auth.ts';
import type { HttpConfig } from '../config/http.ts';
import type { V1Config } from '../config/protocols.ts';
import { openAccess } from '../open-access.ts';
import { NO_PEERS, type Peers } from '../peers.ts';
import type { Assembled } from './assemble-access.ts';

/** The settings that access control depends on; a whole `Config` will do. */
export interface AccessSettings {
  auth: AuthConfig;
  http: Pick<HttpConfig, 'urls' | 'secret'>;
  protocols: { v1: Pick<V1Config, 'standalone' | 'indexEndpoint' | 'disableTokenAuth'> };
}

/** The access control that the settings ask for, which can be given others while it works. */
export class ConfiguredAccess implements AccessControl {
  readonly #driver: StorageDriver;
  readonly #log: Logger;
  readonly #peers: Peers;
  #current: Assembled;
  /** Answers on the path of the token endpoint, where there is one; belongs beside the protocols. */
  readonly middleware: Koa.Middleware = (ctx, next) => {
    const { endpoint } = this.#current;
    return endpoint?.paths.includes(ctx.path) ? endpoint.service.handle(ctx) : next();
  };

  constructor(assembled: Assembled, driver: StorageDriver, log: Logger, peers: Peers) {
    this.#peers = peers;
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
    this.#current = await assemble(settings, this.#driver, this.#log, this.#peers);
    this.#log.info('access control reloaded');
  }
}

/** Builds the access control of these settings. Throws an Error that names the setting which cannot work. */
export async function createAccessControl(
  settings: AccessSettings,
  driver: StorageDriver,
  log: Logger,
  peers: Peers = NO_PEERS,
): Promise<ConfiguredAccess> {
  return new ConfiguredAccess(await assemble(settings, driver, log, peers), driver, log, peers);
}

/** A registry without accounts loads none of what they need. */
async function assemble(
  settings: AccessSettings,
  driver: StorageDriver,
  log: Logger,
  peers: Peers,
): Promise<Assembled> {
  const { silly, token, htpasswd } = settings.auth;
  const { standalone, disableTokenAuth } = settings.protocols.v1;
  if (!silly && !token && !htpasswd && (standalone || disableTokenAuth)) {
    return { access: openAccess, endpoint: undefined };
  }
  const { assembleAccess } = await import('./assemble-access.ts');
  return assembleAccess(settings, driver, log, peers);
}
