import type { Logger } from '../../protocols/registry.ts';
import type { Config } from '../config/config.ts';
import { describeFinding } from '../config/findings.ts';
import { loadConfig } from '../config/load.ts';
import { openContent } from '../open-registry.ts';
import { becomeOwnerOf, becomesAnother, dropPrivileges } from '../privileges.ts';
import { type Diagnosis, ok, problem, warning } from './finding.ts';
import {
  checkAccess,
  checkAccounts,
  checkDescriptors,
  checkDiskSpace,
  checkEndpoints,
  checkPort,
  checkRedis,
  checkSecret,
  checkStorageWritable,
  checkTlsFiles,
} from './local-checks.ts';

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Looks at this host: its configuration, and whether what it names works. */
export async function checkHost(
  path: string | undefined,
  environment: NodeJS.ProcessEnv,
): Promise<Diagnosis[]> {
  let config: Config;
  const found: Diagnosis[] = [];
  try {
    const loaded = loadConfig(path, environment);
    config = loaded.config;
    found.push(ok('configuration', config.source.path));
    for (const each of loaded.warnings)
      found.push(warning('configuration', describeFinding(each), 'change or remove the setting'));
  } catch (error) {
    return [problem('configuration', (error as Error).message, 'correct what is named')];
  }
  return [...found, ...(await checkConfigured(config))];
}

async function checkConfigured(config: Config): Promise<Diagnosis[]> {
  const { http, storage, notifications, redis } = config;
  const found = [
    checkAccess(config),
    checkSecret(config),
    checkDescriptors(),
    await checkPort(http.listen, http.tls !== undefined),
    // Root may read and write everything, which says nothing about the registry; and must leave nothing of its own.
    ...becomeRegistry(config),
    checkAccounts(config),
    ...checkTlsFiles(http.tls),
    ...(await checkRedis(redis)),
  ];
  try {
    const content = openContent(config, quiet);
    if (!storage.readOnly) await content.driver.open?.();
    found.push(await checkStorageWritable(content.driver, storage.readOnly));
    if (storage.driver.kind === 'filesystem') found.push(checkDiskSpace(storage.driver.root));
    found.push(...(await checkEndpoints(notifications.endpoints, content.driver)));
    await content.close();
  } catch (error) {
    found.push(problem('storage', (error as Error).message, 'correct the section storage'));
  }
  return found;
}

/** Becomes the user that the registry runs as, and says so; where that is not configured, the owner of its folder. */
function becomeRegistry({ workers, storage }: Config): Diagnosis[] {
  const what = 'user';
  try {
    if (becomesAnother(workers)) {
      dropPrivileges(workers);
      return [ok(what, `files are looked at as ${workers.user ?? workers.group}`)];
    }
    const owner =
      storage.driver.kind === 'filesystem' ? becomeOwnerOf(storage.driver.root) : undefined;
    if (owner === undefined) return [];
    return [ok(what, `files are looked at as user ${owner}, to whom the storage belongs`)];
  } catch (error) {
    const [seen = '', fix = ''] = (error as Error).message.split('; ', 2);
    return [problem(what, seen, fix)];
  }
}
