import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { FileInfo, StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound } from './errors.ts';

/** A lease that was not renewed for this long belongs to a dead process. */
const EXPIRY_MS = 30_000;
const RENEWAL_MS = 10_000;

interface Holder {
  host: string;
  pid: number;
  id: string;
}

/** The leases that this process holds in one store. */
interface Holdings {
  /** Who we are: what stands in each lease. */
  token: Buffer;
  paths: Set<string>;
}

const host = hostname();
const holdings = new WeakMap<StorageDriver, Holdings>();
const pathsOf = new Map<string, Set<string>>();

function holdingsIn(driver: StorageDriver): Holdings {
  let ours = holdings.get(driver);
  if (!ours) {
    const holder: Holder = { host, pid: process.pid, id: randomUUID() };
    ours = { token: Buffer.from(JSON.stringify(holder)), paths: new Set() };
    pathsOf.set(holder.id, ours.paths);
    holdings.set(driver, ours);
  }
  return ours;
}

/** Held by one process at a time, on any worker and node that shares the store. */
export interface Lease {
  /**
   * Whether it was taken from a holder that fell silent and may yet wake up: what that one has open, it can still
   * write to.
   */
  readonly contested: boolean;
  release(): Promise<void>;
}

/** Takes the lease at `path`, or gives undefined when somebody alive holds it. */
export async function takeLease(driver: StorageDriver, path: string): Promise<Lease | undefined> {
  const { token, paths } = holdingsIn(driver);
  if (paths.has(path)) return undefined;
  paths.add(path);
  try {
    const taken = await take(driver, path, token);
    if (taken) return hold(driver, path, token, paths, taken.contested);
  } catch (error) {
    paths.delete(path);
    throw error;
  }
  paths.delete(path);
  return undefined;
}

async function take(
  driver: StorageDriver,
  path: string,
  token: Buffer,
): Promise<{ contested: boolean } | undefined> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      await driver.put(path, token, { condition: 'absent', durable: false, shared: true });
      return { contested: false };
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
    }
    const [info, content] = await Promise.all([
      ifFound(driver.stat(path)),
      ifFound(driver.get(path)),
    ]);
    if (!info || !content) continue;
    const holder = stateOf(info, content, path);
    if (holder === 'alive') return undefined;
    try {
      // Of several who find the same dead lease one gets it.
      await driver.put(path, token, { condition: { unchanged: content }, durable: false });
      return { contested: holder === 'silent' };
    } catch (error) {
      if (error instanceof ConditionFailedError) return undefined;
      throw error;
    }
  }
  return undefined;
}

function hold(
  driver: StorageDriver,
  path: string,
  token: Buffer,
  paths: Set<string>,
  contested: boolean,
): Lease {
  let renewed = Date.now();
  const renewal = setInterval(() => {
    // What somebody took over, or removed with all that lay beside it, is not to come back.
    driver.put(path, token, { condition: { unchanged: token }, durable: false }).then(
      () => {
        renewed = Date.now();
      },
      () => undefined,
    );
  }, RENEWAL_MS);
  renewal.unref();
  return {
    contested,
    async release() {
      clearInterval(renewal);
      try {
        const mayBeLost = Date.now() - renewed > EXPIRY_MS;
        if (mayBeLost && !(await ifFound(driver.get(path)))?.equals(token)) return;
        await driver.delete(path, { durable: false });
      } finally {
        paths.delete(path);
      }
    },
  };
}

function stateOf(info: FileInfo, content: Buffer, path: string): 'alive' | 'silent' | 'dead' {
  const holder = parseHolder(content);
  if (holder?.host === host) {
    const here = pathsOf.get(holder.id);
    const alive = here ? here.has(path) : holder.pid !== process.pid && isRunning(holder.pid);
    if (!alive) return 'dead';
  }
  return Date.now() - info.modified > EXPIRY_MS ? 'silent' : 'alive';
}

function parseHolder(content: Buffer): Holder | undefined {
  try {
    return JSON.parse(content.toString()) as Holder;
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
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
