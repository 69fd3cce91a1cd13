import type { PutItem, StorageDriver } from './driver.ts';

/** Puts all of them, durably and side by side where the driver can, so that none is seen before those ahead of it. */
export async function putAll(driver: StorageDriver, items: readonly PutItem[]): Promise<void> {
  const { local } = driver;
  if (local?.putAll) await local.putAll(items);
  else for (const { path, content } of items) await driver.put(path, content);
}
