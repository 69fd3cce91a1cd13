import { LRUCache } from 'lru-cache';
import type { FileStamp, PutOptions, StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound } from './errors.ts';
import { sameStamp, settled } from './links.ts';
import { gather } from './listings.ts';

/** Memory for the texts of records that were read lately, in characters. */
const MOST_KEPT = 4 * 1024 * 1024;

interface KeptText {
  stamp: FileStamp;
  text: string;
}

const keptBy = new WeakMap<StorageDriver, LRUCache<string, KeptText>>();

/**
 * A small JSON record; undefined when there is none, or a crash left a torn one. On a local file system its text is read
 * again only when the file's stamp has changed.
 */
export async function readRecord<T>(driver: StorageDriver, path: string): Promise<T | undefined> {
  const { local } = driver;
  if (!local) return parse<T>((await ifFound(driver.get(path)))?.toString());
  // Most records that are asked for are not there, and a stamp says so without an error to be caught.
  const stamp = local.stamp(path);
  if (!stamp) return undefined;
  const kept = keptOf(driver);
  const known = kept.get(path);
  if (known && sameStamp(known.stamp, stamp)) return parse<T>(known.text);
  const text = local.get(path)?.toString();
  if (text && settled(stamp)) kept.set(path, { stamp, text });
  return parse<T>(text);
}

function keptOf(driver: StorageDriver): LRUCache<string, KeptText> {
  let kept = keptBy.get(driver);
  if (!kept) {
    kept = new LRUCache({ maxSize: MOST_KEPT, sizeCalculation: ({ text }) => text.length + 200 });
    keptBy.set(driver, kept);
  }
  return kept;
}

function parse<T>(text: string | undefined): T | undefined {
  if (!text) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}

/** Gives whether it was put: false where something lies there already. */
export async function putIfAbsent(
  driver: StorageDriver,
  path: string,
  content: Uint8Array | string,
  options: Omit<PutOptions, 'condition'> = {},
): Promise<boolean> {
  try {
    await driver.put(path, content, { ...options, condition: 'absent' });
    return true;
  } catch (error) {
    if (error instanceof ConditionFailedError) return false;
    throw error;
  }
}

/**
 * Puts what may be lost with a crash, and is seldom there already: to look first would cost more. A crash may leave a
 * torn one.
 */
export async function putHint(
  driver: StorageDriver,
  path: string,
  content: Uint8Array | string,
): Promise<void> {
  if (await putIfAbsent(driver, path, content, { durable: false })) return;
  await driver.put(path, content, { durable: false });
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
    const next = change(parse<T>(bytes?.toString()));
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
