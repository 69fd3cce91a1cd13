import { X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import type { StorageDriver } from '../../storage/driver.ts';
import type { Config } from '../config/config.ts';
import type { TlsConfig } from '../config/http.ts';
import type { ListenAddress } from '../config/scalars.ts';
import type { EndpointConfig, RedisConfig } from '../config/services.ts';
import { backlogs } from '../events/dead-letters.ts';
import { checkTcp, checkWritable, storageFix } from '../health-checks.ts';
import { listen, showAddress } from '../listen.ts';
import { type Diagnosis, ok, problem, skipped, warning } from './finding.ts';

const DAY_MS = 24 * 3600 * 1000;
const MIN_DESCRIPTORS = 4096;

/** Whether the storage takes, gives back and removes a file. */
export async function checkStorageWritable(
  driver: StorageDriver,
  readOnly: boolean,
): Promise<Diagnosis> {
  const what = 'storage';
  if (readOnly) return skipped(what, 'the registry is configured read-only, nothing is written');
  try {
    await checkWritable(driver);
    return ok(what, `${driver.name} takes writes`);
  } catch (error) {
    return problem(what, `can't write: ${(error as Error).message}`, storageFix(error));
  }
}

/** Whether the file system below `path` has space and inodes left. */
export function checkDiskSpace(
  path: string,
  stat: (path: string) => {
    blocks: number;
    bavail: number;
    bsize: number;
    files: number;
    ffree: number;
  } = statfsSync,
): Diagnosis {
  const what = 'disk space';
  let at: ReturnType<typeof stat>;
  try {
    at = stat(path);
  } catch (error) {
    return skipped(what, `can't look at ${path}: ${(error as Error).message}`);
  }
  const free = at.blocks === 0 ? 1 : at.bavail / at.blocks;
  const inodes = at.files === 0 ? 1 : at.ffree / at.files;
  const gib = ((at.bavail * at.bsize) / 2 ** 30).toFixed(1);
  const seen = `${gib} GiB free (${Math.round(free * 100)} %), ${Math.round(inodes * 100)} % of inodes`;
  const fix = 'run garbage-collect, delete old tags, or move the storage to a larger disk';
  if (free < 0.02 || inodes < 0.02) return problem(what, `nearly full: ${seen}`, fix);
  if (free < 0.1 || inodes < 0.1) return warning(what, `getting full: ${seen}`, fix);
  return ok(what, seen);
}

/** Whether the registry could listen where it is configured to; fine when one answers there already. */
export async function checkPort(address: ListenAddress, tls: boolean): Promise<Diagnosis> {
  const what = 'address';
  try {
    (await listen(address, (socket) => socket.destroy())).close();
    return ok(what, `${showAddress(address)} is free`);
  } catch (error) {
    const answer = address.kind === 'tcp' ? await whoAnswers(address.port, tls) : undefined;
    if (answer !== undefined) return ok(what, `${showAddress(address)}: ${answer} answers there`);
    const [seen = '', fix = ''] = (error as Error).message.split(/(?<=[^;]); /, 2);
    return problem(
      what,
      seen,
      fix || 'choose another address with REGISTRY_HOST and REGISTRY_PORT',
    );
  }
}

async function whoAnswers(port: number, tls: boolean): Promise<string | undefined> {
  if (tls) return undefined;
  const signal = AbortSignal.timeout(2000);
  const answer = await fetch(`http://127.0.0.1:${port}/v2/`, { signal }).catch(() => undefined);
  return answer?.headers.has('docker-distribution-api-version') ? 'a registry' : undefined;
}

/** Whether certificate and key are there, fit each other, are in date, and whom the settings shut out. */
export function checkTlsFiles(tls: TlsConfig | undefined, now = Date.now()): Diagnosis[] {
  const what = 'certificate';
  if (tls === undefined)
    return [
      skipped(what, 'no TLS in this process; engines want it in front, or insecure-registries'),
    ];
  const found: Diagnosis[] = [];
  if (tls.letsEncrypt !== undefined) {
    const hosts = tls.letsEncrypt.hosts.join(', ');
    found.push(skipped(what, `fetched by ACME for ${hosts}; the log says "certificate fetched"`));
  }
  try {
    if (tls.files !== undefined) {
      accessSync(tls.files.key, constants.R_OK);
      const certificate = new X509Certificate(readFileSync(tls.files.certificate));
      found.push(validity(certificate, tls.files.certificate, now));
    }
  } catch (error) {
    const fix = 'set http.tls.certificate and http.tls.key to PEM files that this user may read';
    found.push(problem(what, (error as Error).message, fix));
  }
  if (tls.minimumVersion === 'TLSv1.3') {
    found.push(
      warning(
        'TLS version',
        'only TLS 1.3 is spoken, which no engine before docker 18.09 knows',
        'set http.tls.minimumtls to tls1.2',
      ),
    );
  }
  return found;
}

function validity(certificate: X509Certificate, path: string, now: number): Diagnosis {
  const what = 'certificate';
  const from = Date.parse(certificate.validFrom);
  const to = Date.parse(certificate.validTo);
  const names = certificate.subjectAltName;
  const fix = `replace ${path}; a running registry takes the new file by itself`;
  if (now < from) {
    return problem(what, `valid from ${certificate.validFrom} only`, `set the clock, or ${fix}`);
  }
  if (now > to) return problem(what, `expired on ${certificate.validTo}`, fix);
  if (names === undefined) {
    return problem(
      what,
      'it has no subject alternative name, which Go clients refuse',
      'make it with -addext subjectAltName=DNS:registry.example',
    );
  }
  if (to - now < 14 * DAY_MS) return warning(what, `expires on ${certificate.validTo}`, fix);
  return ok(what, `${names}, until ${certificate.validTo}`);
}

/** Whether all nodes sign with the same secret. */
export function checkSecret(config: Config): Diagnosis {
  const what = 'shared secret';
  if (config.http.secret !== undefined) {
    return ok(what, 'http.secret is set; it must be the same on every node');
  }
  if (config.storage.driver.kind === 'memory') {
    return warning(
      what,
      'none is set, and content in memory is shared with nobody',
      'use the filesystem or an object store for more than one process',
    );
  }
  return ok(what, 'kept in the store, so that every node on the same store has it');
}

/** Whether enough files and connections may be open. */
export function checkDescriptors(limits = readLimits()): Diagnosis {
  const what = 'open files';
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (soft === undefined) return skipped(what, 'this system does not tell');
  if (soft === 'unlimited' || Number(soft) >= MIN_DESCRIPTORS) return ok(what, `up to ${soft}`);
  return warning(
    what,
    `up to ${soft} only; each client takes two`,
    `set LimitNOFILE=65536 in the systemd unit, or ulimit -n 65536`,
  );
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}

/** Whether Redis takes connections. */
export async function checkRedis(redis: RedisConfig | undefined): Promise<Diagnosis[]> {
  return Promise.all(
    (redis?.addresses ?? []).map(async (address) => {
      const reason = await unreachable(address, redis?.dialSeconds ?? 1);
      return reason === undefined
        ? ok('redis', `${address} takes connections`)
        : problem('redis', reason, 'start it, or take the section redis out: it is never needed');
    }),
  );
}

/** Whether notification endpoints can be reached, and what waits for them. */
export async function checkEndpoints(
  endpoints: readonly EndpointConfig[],
  driver: StorageDriver,
): Promise<Diagnosis[]> {
  const reachable = endpoints.map(async ({ name, url, timeoutSeconds }) => {
    const { hostname, port, protocol } = new URL(url);
    const address = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
    const reason = await unreachable(address, timeoutSeconds);
    return reason === undefined
      ? ok(`endpoint ${name}`, `${address} takes connections`)
      : problem(`endpoint ${name}`, reason, 'start it, or correct its url; events wait meanwhile');
  });
  const waiting = (await backlogs(driver)).flatMap(({ name, dead }) =>
    dead === 0
      ? []
      : [
          warning(
            `endpoint ${name}`,
            `${dead} events were given up`,
            'see them with isthmus events show; send them again with isthmus events replay',
          ),
        ],
  );
  return [...(await Promise.all(reachable)), ...waiting];
}

async function unreachable(address: string, timeoutSeconds: number): Promise<string | undefined> {
  return checkTcp({ address, timeoutSeconds }).then(
    () => undefined,
    (error: Error) => error.message,
  );
}

/** Whether somebody who can reach the registry may do everything. */
export function checkAccess({ auth, http }: Config): Diagnosis {
  const what = 'access control';
  const guarded = auth.htpasswd ?? auth.token ?? auth.silly;
  if (guarded !== undefined) return ok(what, 'logins are asked for');
  const { listen: at } = http;
  if (at.kind === 'unix' || ['127.0.0.1', '::1', 'localhost'].includes(at.host)) {
    return ok(what, 'none, and only this host can connect');
  }
  return warning(
    what,
    `none, on ${showAddress(at)}: everybody may push and pull`,
    'set auth.htpasswd.path, or listen on 127.0.0.1 behind a proxy that asks for logins',
  );
}

/** Whether the accounts can be read. */
export function checkAccounts({ auth: { htpasswd } }: Config): Diagnosis {
  const what = 'accounts';
  if (htpasswd === undefined) return skipped(what, 'none are configured');
  try {
    const names = readFileSync(htpasswd.path, 'utf8').match(/^[^#:\s][^:]*:/gm) ?? [];
    if (names.length > 0) return ok(what, `${names.length} in ${htpasswd.path}`);
    return problem(what, `there are none in ${htpasswd.path}`, `htpasswd -B ${htpasswd.path} NAME`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const fix =
      code === 'ENOENT'
        ? `make it: htpasswd -cB ${htpasswd.path} NAME`
        : 'let the user that runs the registry read it (chgrp, chmod 640)';
    return problem(what, message, fix);
  }
}
