import type { PutItem, StorageDriver } from './driver.ts';

/**
 * Puts all of them, durably and side by side where the driver can, so that none is seen before those ahead of it, and
 * those of `last` only once the others are sure to survive a power cut.
 */
export async function putAll(
  driver: StorageDriver,
  items: readonly PutItem[],
  last: readonly PutItem[] = [],
): Promise<void> {
  const { local } = driver;
  if (local?.putAll) return local.putAll(items, last);
  for (const { path, content } of [...items, ...last]) await driver.put(path, content);
}
