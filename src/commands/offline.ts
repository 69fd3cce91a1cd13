import type { ContentStore } from '../../storage/content-store.ts';
import type { V1Reader } from '../../storage/v1-images.ts';
import { describeFinding } from '../config/findings.ts';
import { loadConfig } from '../config/load.ts';
import { createLogger, type ProcessLogger } from '../log.ts';
import { openContent, upgradeContent } from '../open-registry.ts';
import { otherOwner } from '../privileges.ts';
import { type OptionValues, UsageError } from './command.ts';

/** The option of every command that works on the store itself. */
export const CONFIG_OPTION = { config: { type: 'string', short: 'c' } } as const;
export const CONFIG_HELP = { config: 'the configuration, as `serve` takes it' };

/** Who runs a command on the host may read everything. */
export const OPERATOR: V1Reader = { unrestricted: true, mayPull: () => true, claimant: '' };

/** Opens the configured store for one command and closes it after; a server may run on it meanwhile. */
export async function withContent<T>(
  options: OptionValues,
  work: (content: ContentStore, log: ProcessLogger) => Promise<T>,
): Promise<T> {
  const { config, warnings } = loadConfig(textOption(options, 'config'), process.env, 'offline');
  const log = createLogger(config.log);
  for (const warning of warnings) log.debug(describeFinding(warning));
  if (config.storage.driver.kind === 'memory') {
    throw new UsageError('the configured storage is memory, which ends with this command');
  }
  if (config.storage.driver.kind === 'filesystem') warnOfRoot(config.storage.driver.root, log);
  const content = openContent(config, log);
  try {
    if (!config.storage.readOnly) await upgradeContent(content, log);
    return await work(content, log);
  } finally {
    await content.close();
    log.flush();
  }
}

/** The registry could not change what root leaves in its folder. */
function warnOfRoot(root: string, log: ProcessLogger): void {
  const owner = otherOwner(root);
  if (owner === undefined) return;
  log.warn(
    `the storage belongs to another user; run this as that user (setpriv --reuid ${owner.uid} --regid ${owner.gid} --clear-groups …), or afterwards: chown -R ${owner.uid}:${owner.gid} ${root}`,
  );
}

export function textOption(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}
