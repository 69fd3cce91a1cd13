import { resolve } from 'node:path';
import type { Logger } from '../protocols/registry.ts';
import { V1Tree } from '../storage/archives/v1-tree.ts';
import type { Config } from './config/config.ts';

/**
 * Who puts Isthmus in the place of docker-registry points it at the old storage and would see no images: says which
 * command brings them in. Says nothing once that was done.
 */
export async function warnOfOldTree(config: Config, log: Logger): Promise<void> {
  const { driver } = config.storage;
  if (driver.kind !== 'filesystem') return;
  const root = resolve(driver.root);
  try {
    if (!V1Tree.isAt(root)) return;
    const { openContent } = await import('./open-registry.ts');
    const { wasImported } = await import('../storage/archives/v1-tree-import.ts');
    const content = openContent(config, log);
    const done = await wasImported(content, root).finally(() => content.close());
    if (done) return;
    log.warn(
      `this storage is that of an old docker-registry, whose images are not served yet; bring them in with: isthmus import v1 ${root}`,
      { storage: root },
    );
  } catch (error) {
    log.warn('the storage could not be looked at for an old docker-registry', { error });
  }
}
