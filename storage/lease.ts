import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound } from './errors.ts';

/** A lease that was not renewed for this long belongs to a dead process. */
const EXPIRY_MS = 30_000;
const RENEWAL_MS = 10_000;

const instance = { host: hostname(), pid: process.pid, id: randomUUID() };
const token = JSON.stringify(instance);

/** Held by one process at a time, on any worker and node that shares the store. */
export interface Lease {
  release(): Promise<void>;
}

/** Takes the lease at `path`, or gives undefined when somebody alive holds it. */
export async function takeLease(driver: StorageDriver, path: string): Promise<Lease | undefined> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      await driver.put(path, token, { condition: 'absent', durable: false });
      return hold(driver, path);
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
      if (await isHeld(driver, path)) return undefined;
      await driver.delete(path, { durable: false });
    }
  }
  return undefined;
}

function hold(driver: StorageDriver, path: string): Lease {
  const renewal = setInterval(() => {
    driver.put(path, token, { durable: false }).catch(() => undefined);
  }, RENEWAL_MS);
  renewal.unref();
  return {
    async release() {
      clearInterval(renewal);
      await driver.delete(path, { durable: false });
    },
  };
}

async function isHeld(driver: StorageDriver, path: string): Promise<boolean> {
  const [info, content] = await Promise.all([
    ifFound(driver.stat(path)),
    ifFound(driver.get(path)),
  ]);
  if (!info || !content) return false;
  if (Date.now() - info.modified > EXPIRY_MS) return false;
  try {
    const holder = JSON.parse(content.toString()) as typeof instance;
    if (holder.host !== instance.host) return true;
    return holder.pid === instance.pid ? holder.id === instance.id : isAlive(holder.pid);
  } catch {
    return true;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const FIRST_LOOK_MS = 20;
const LAST_LOOK_MS = 500;

/**
 * What `known` gives, or else what `make` makes while the lease at `path` is held: of all processes that share the
 * store one does the work, the others wait for what it leaves behind.
 */
export async function makeOnce<T>(
  driver: StorageDriver,
  path: string,
  known: () => Promise<T | undefined>,
  make: () => Promise<T>,
): Promise<T> {
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 2, LAST_LOOK_MS)) {
    const lease = await takeLease(driver, path);
    try {
      const there = await known();
      if (there !== undefined) return there;
      if (lease) return await make();
    } finally {
      await lease?.release();
    }
    await new Promise((done) => setTimeout(done, pause));
  }
}
