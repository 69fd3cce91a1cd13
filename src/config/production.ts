import { statSync } from 'node:fs';
import { join } from 'node:path';
import { storeRecord } from '../../storage/paths.ts';
import type { Config } from './config.ts';
import type { Finding } from './findings.ts';

/** Why a configuration must not face users: what the flavor `prod` refuses to start with. Empty for other flavors. */
export function refusalsInProduction(config: Config): Finding[] {
  if (config.source.flavor !== 'prod') return [];
  const refusals: Finding[] = [];
  const refuse = (path: string, message: string) =>
    refusals.push({ path, origin: undefined, message });
  if (config.protocols.v1.debug)
    refuse('debug', 'must be off in prod; unset DEBUG, or set it to false');
  if (isPublic(config) && !hasAccessControl(config) && !config.protocols.v1.standaloneSaid) {
    refuse(
      'auth',
      'everyone could push and delete; name a file made by `htpasswd -B` (AUTH_HTPASSWD_PATH with the sample, ' +
        'auth.htpasswd.path in yours), listen on this host only (REGISTRY_HOST=127.0.0.1), ' +
        'or say that this is meant (STANDALONE=true)',
    );
  }
  for (const [path, file] of secretFiles(config)) {
    if (isWorldReadable(file))
      refuse(path, `every user of this host can read ${file}; run: chmod o-r ${file}`);
  }
  if (config.source.literalSecrets && isWorldReadable(config.source.path)) {
    const { path } = config.source;
    refuse(
      '',
      `the file holds secrets and every user of this host can read it; run: chmod o-r ${path}, or use _env:`,
    );
  }
  return refusals;
}

/** Whether others than this host can connect. */
function isPublic({ http: { listen } }: Config): boolean {
  return listen.kind === 'tcp' && !/^(localhost|127(\.\d+){3}|::1)$/.test(listen.host);
}

function hasAccessControl({ auth, protocols: { v1 } }: Config): boolean {
  const index = !v1.standalone && !v1.disableTokenAuth;
  return auth.htpasswd !== undefined || auth.token !== undefined || index;
}

/** Those that are named, and the keys that were made in the store. */
function secretFiles({ http, auth, bridge, storage }: Config): [string, string][] {
  const { driver } = storage;
  const inStore = (name: string) =>
    driver.kind === 'filesystem' ? join(driver.root, storeRecord(name)) : undefined;
  const files: [string, string | undefined][] = [
    ['storage.filesystem.rootdirectory', inStore('token-key')],
    ['storage.filesystem.rootdirectory', inStore('schema1-key')],
    ['http.tls.key', http.tls?.files?.key],
    ['auth.htpasswd.path', auth.htpasswd?.path],
    ['auth.tokenendpoint.keyfile', auth.tokenEndpoint?.keyFile],
    ['schema1.signingKeyFile', bridge.schema1SigningKeyFile],
  ];
  return files.filter((entry): entry is [string, string] => entry[1] !== undefined);
}

function isWorldReadable(file: string): boolean {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats !== undefined && (stats.mode & 0o004) !== 0;
}
