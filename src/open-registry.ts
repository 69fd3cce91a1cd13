import type { Access, Logger, Registry } from '../protocols/registry.ts';
import type { Config } from './config/config.ts';

/** Builds what the protocols are given: content, access control, events. */
export async function openRegistry(config: Config, log: Logger): Promise<Registry> {
  const { auth, storage, http, pages, protocols } = config;
  if (auth.htpasswd !== undefined || auth.token !== undefined || auth.silly !== undefined) {
    throw new Error(
      'access control is configured, and this build enforces none; it will not serve openly instead',
    );
  }
  return {
    content: { close: async () => {} },
    access: {
      accounts: false,
      authorize: () => ({ user: undefined, may: (_access: Access) => true }),
    },
    events: { emit: () => {} },
    limits: {
      manifestBytes: http.limits.manifestBytes,
      jsonBytes: http.limits.jsonBytes,
      catalogPage: pages.catalog,
      tagsPage: pages.tags,
    },
    urls: http.urls,
    log,
    readOnly: storage.readOnly,
    deletion: storage.delete,
    v1: { endpoints: protocols.v1.registryEndpoints, standalone: protocols.v1.standalone },
  };
}
