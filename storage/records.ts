import type { StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound } from './errors.ts';
import { gather } from './listings.ts';

/** A small JSON record; undefined when there is none, or a crash left a torn one. */
export async function readRecord<T>(driver: StorageDriver, path: string): Promise<T | undefined> {
  const { local } = driver;
  if (!local) return parse<T>(await ifFound(driver.get(path)));
  // Most records that are asked for are not there, and a stamp says so without an error to be caught.
  return local.stamp(path) && parse<T>(local.get(path));
}

function parse<T>(bytes: Buffer | undefined): T | undefined {
  if (!bytes || bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString()) as T;
  } catch {
    return undefined;
  }
}

/** How often a change is tried again before its writer gives up on a crowd of others. */
const MAX_ATTEMPTS = 50;

/** Changes a record that others may change at the same time; nobody's change is lost. */
export async function updateRecord<T>(
  driver: StorageDriver,
  path: string,
  change: (current: T | undefined) => T | undefined,
): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const bytes = await ifFound(driver.get(path));
    const next = change(parse<T>(bytes));
    if (next === undefined) return;
    try {
      const condition = bytes ? { unchanged: bytes } : ('absent' as const);
      return await driver.put(path, JSON.stringify(next), { condition });
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
    }
  }
  throw new Error(`too many writers of ${path}`);
}

/** Whether anything lies below a path. */
export async function isOccupied(driver: StorageDriver, path: string): Promise<boolean> {
  if (driver.local) return driver.local.stamp(path) !== undefined;
  return (await gather(driver.list(path))).length > 0;
}
