import { createHash } from 'node:crypto';
import type { StorageDriver } from '../../storage/driver.ts';

/** Every file below `path` with a digest of its bytes: equal snapshots mean that nothing was written. */
export async function snapshot(
  driver: StorageDriver,
  path = '/',
  files: Record<string, string> = {},
): Promise<Record<string, string>> {
  for await (const child of driver.list(path)) {
    const at = path === '/' ? `/${child}` : `${path}/${child}`;
    const { directory } = await driver.stat(at);
    if (directory) await snapshot(driver, at, files);
    else
      files[at] = createHash('sha256')
        .update(await driver.get(at))
        .digest('hex');
  }
  return files;
}
