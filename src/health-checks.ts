import { access } from 'node:fs/promises';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import type { StorageDriver } from '../storage/driver.ts';
import { ifFound, RegistryError } from '../storage/errors.ts';
import { storeRecord } from '../storage/paths.ts';
import type { HealthConfig } from './config/services.ts';

/** A storage that says nothing for so long is as good as none. */
const STORAGE_MS = 5000;

/** Throws while the file exists: touching it takes this node out of service. */
export async function checkFileAbsent(file: string): Promise<void> {
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (exists) throw new Error('file exists');
}

/** Throws unless a HEAD of the URL is answered with the wanted status in time. */
export async function checkHttp(check: HealthConfig['http'][number]): Promise<void> {
  const headers = new Headers();
  for (const [name, values] of Object.entries(check.headers))
    for (const value of values) headers.append(name, value);
  const signal = AbortSignal.timeout(check.timeoutSeconds * 1000);
  const answer = await fetch(check.uri, {
    method: 'HEAD',
    headers,
    signal,
    redirect: 'manual',
  }).catch((error: Error) => {
    throw new Error(`error while checking: ${reasonOf(error)}`);
  });
  if (answer.status !== check.status) {
    throw new Error(`downstream service returned unexpected status: ${answer.status}`);
  }
}

/** Throws unless `host:port` takes a connection in time. */
export async function checkTcp(
  check: Pick<HealthConfig['tcp'][number], 'address' | 'timeoutSeconds'>,
): Promise<void> {
  const { host, port } = splitAddress(check.address);
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port, timeout: check.timeoutSeconds * 1000 });
    const end = (problem: string | undefined) => {
      socket.destroy();
      if (problem === undefined) resolve();
      else reject(new Error(`connection to ${check.address} failed: ${problem}`));
    };
    socket.once('connect', () => end(undefined));
    socket.once('timeout', () => end('timed out'));
    socket.once('error', (error) => end(error.message));
  });
}

/** Throws unless the storage answers. */
export async function checkStorage(driver: StorageDriver): Promise<void> {
  await within(STORAGE_MS, ifFound(driver.stat('/')));
}

/** Throws unless the storage takes a small file, gives it back and removes it; `durable` waits for the disk. */
export async function checkWritable(driver: StorageDriver, durable = true): Promise<void> {
  const path = storeRecord(`probes/${hostname().replace(/[^A-Za-z0-9-]/g, '-')}-${process.pid}`);
  const content = String(Date.now());
  await within(
    STORAGE_MS,
    (async () => {
      await driver.put(path, content, { durable });
      const read = await driver.get(path);
      await driver.delete(path, { durable: false });
      if (read.toString() !== content) throw new Error('the storage gave back other bytes');
    })(),
  );
}

/** What to do about a storage that takes no writes for this reason. */
export function storageFix(error: unknown): string {
  const { code } = (error instanceof RegistryError ? error.cause : error) as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return 'free space on the disk, run garbage-collect, or move the storage to a larger one';
  }
  if (code === 'EROFS')
    return 'mount the disk writable: mount -o remount,rw …; look at dmesg for why it is not';
  if (code === 'EACCES' || code === 'EPERM') {
    return `give the folder to the user that runs the registry: chown -R ${process.getuid?.() ?? 'USER'} FOLDER`;
  }
  return 'see that the path or bucket exists and that its credentials are right';
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** `host:port`, `[v6]:port` or `:port`, which means this host. */
function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' ? '127.0.0.1' : host, port: Number(address.slice(at + 1)) };
}

function reasonOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message;
}
