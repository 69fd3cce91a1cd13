import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Diagnosis } from '../../../src/doctor/finding.ts';
import {
  checkAccess,
  checkAccounts,
  checkDescriptors,
  checkDiskSpace,
  checkEndpoints,
  checkPort,
  checkRedis,
  checkStorageWritable,
  checkTlsFiles,
} from '../../../src/doctor/local-checks.ts';
import { DeadLetters, rememberEndpoint } from '../../../src/events/dead-letters.ts';
import { endpointKey, SegmentNamer } from '../../../src/events/layout.ts';
import { MemoryDriver } from '../../../storage/drivers/memory.ts';
import { serve, serveApp } from '../../support/app-server.ts';
import { flavor } from '../../support/config.ts';
import { freePort } from '../../support/free-port.ts';
import { makeCertificate } from '../../support/self-signed.ts';

const DAY_MS = 24 * 3600 * 1000;

function expectFinding(
  found: Diagnosis | undefined,
  verdict: Diagnosis['verdict'],
  seen: RegExp,
  fix?: RegExp,
): void {
  assert.equal(found?.verdict, verdict, JSON.stringify(found));
  assert.match(found?.seen ?? '', seen);
  if (fix !== undefined) assert.match(found?.fix ?? '', fix);
}

describe('isthmus doctor, on this host', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-doctor-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('says why the storage takes no writes', async () => {
    expectFinding(await checkStorageWritable(new MemoryDriver(), false), 'ok', /takes writes/);
    const rows: [string, RegExp][] = [
      ['ENOSPC', /free space/],
      ['EROFS', /remount,rw/],
      ['EACCES', /chown/],
    ];
    for (const [code, fix] of rows) {
      const driver = new MemoryDriver();
      driver.put = () => Promise.reject(Object.assign(new Error(code), { code }));
      expectFinding(await checkStorageWritable(driver, false), 'problem', /can't write/, fix);
    }
    expectFinding(await checkStorageWritable(new MemoryDriver(), true), 'skipped', /read-only/);
  });

  it('tells a full disk from a filling one, by bytes and by inodes', () => {
    const disk =
      (bavail: number, ffree = 1000) =>
      () => ({
        blocks: 1000,
        bavail,
        bsize: 2 ** 20,
        files: 1000,
        ffree,
      });
    expectFinding(checkDiskSpace('/x', disk(500)), 'ok', /50 %/);
    expectFinding(checkDiskSpace('/x', disk(50)), 'warning', /getting full/, /garbage-collect/);
    expectFinding(checkDiskSpace('/x', disk(10)), 'problem', /nearly full/);
    expectFinding(checkDiskSpace('/x', disk(500, 10)), 'problem', /1 % of inodes/);
    assert.notEqual(checkDiskSpace(folder).verdict, 'skipped');
    expectFinding(checkDiskSpace(join(folder, 'missing')), 'skipped', /ENOENT/);
  });

  it('tells a port that is free, held by a registry, or by something else', async () => {
    const port = await freePort();
    const at = (number: number) => ({ kind: 'tcp' as const, host: '127.0.0.1', port: number });
    expectFinding(await checkPort(at(port), false), 'ok', /is free/);
    const registry = await serveApp(new MemoryDriver());
    expectFinding(
      await checkPort(at(Number(new URL(registry.url).port)), false),
      'ok',
      /a registry/,
    );
    await registry.stop();
    const other = await serve((_, response) => void response.end('hello'));
    const found = await checkPort(at(Number(new URL(other.url).port)), false);
    expectFinding(found, 'problem', /port is in use/, /ss -ltnp/);
    await other.stop();
  });

  it('looks at the certificate, and at TLS that is too new', () => {
    const files = makeCertificate(folder, 30);
    const tls = {
      files,
      letsEncrypt: undefined,
      clientCas: [],
      clientAuth: 'require-and-verify-client-cert' as const,
      minimumVersion: 'TLSv1.2' as const,
      cipherSuites: [],
    };
    const now = Date.now();
    expectFinding(checkTlsFiles(tls)[0], 'ok', /127\.0\.0\.1/);
    expectFinding(checkTlsFiles(tls, now + 20 * DAY_MS)[0], 'warning', /expires on/, /replace/);
    expectFinding(checkTlsFiles(tls, now + 40 * DAY_MS)[0], 'problem', /expired on/, /replace/);
    expectFinding(checkTlsFiles(tls, now - DAY_MS)[0], 'problem', /valid from/, /clock/);
    const gone = checkTlsFiles({
      ...tls,
      files: { ...files, certificate: join(folder, 'gone.pem') },
    });
    expectFinding(gone[0], 'problem', /ENOENT/, /PEM/);
    expectFinding(
      checkTlsFiles({ ...tls, minimumVersion: 'TLSv1.3' })[1],
      'warning',
      /no engine before/,
      /tls1\.2/,
    );
  });

  it('warns of few open files', () => {
    expectFinding(
      checkDescriptors('Max open files            1024                 4096\n'),
      'warning',
      /1024/,
      /LimitNOFILE/,
    );
    expectFinding(checkDescriptors('Max open files   unlimited  unlimited\n'), 'ok', /unlimited/);
    expectFinding(checkDescriptors(''), 'skipped', /does not tell/);
  });

  it('says which Redis and which endpoint does not answer, and what was given up', async () => {
    const { config } = flavor(`redis: { addr: '127.0.0.1:${await freePort()}' }`);
    expectFinding((await checkRedis(config.redis))[0], 'problem', /ECONNREFUSED/, /redis/);
    assert.deepEqual(await checkRedis(undefined), []);
    const driver = new MemoryDriver();
    await rememberEndpoint(driver, 'ci');
    const dead = new DeadLetters(endpointKey('ci'), driver, 10);
    await dead.add(new SegmentNamer().next(2), ['{}', '{}'], 'refused');
    const endpoint = {
      name: 'ci',
      url: `http://127.0.0.1:${await freePort()}/`,
      headers: {},
      timeoutSeconds: 1,
      threshold: 1,
      backoffSeconds: 1,
      ignoredMediaTypes: [],
      ignoredActions: [],
    };
    const [unreachable, lost] = await checkEndpoints([endpoint], driver);
    expectFinding(unreachable, 'problem', /ECONNREFUSED/, /start it/);
    expectFinding(lost, 'warning', /2 events were given up/, /replay/);
  });

  it('says why the accounts can not be read', async () => {
    const path = join(folder, 'htpasswd');
    const check = () => checkAccounts(flavor(`auth: { htpasswd: { path: ${path} } }`).config);
    expectFinding(check(), 'problem', /ENOENT/, /htpasswd -cB/);
    await writeFile(path, '# none\n');
    expectFinding(check(), 'problem', /there are none/, /htpasswd -B/);
    await writeFile(path, 'ann:$2y$05$x\nbob:$2y$05$y\n');
    expectFinding(check(), 'ok', /^2 in /);
    expectFinding(checkAccounts(flavor('auth: {}').config), 'skipped', /none/);
  });

  it('warns when everybody may push', () => {
    const open = flavor('listen: { host: 0.0.0.0 }').config;
    expectFinding(checkAccess(open), 'warning', /everybody may push/, /htpasswd/);
    expectFinding(
      checkAccess(flavor('listen: { host: 127.0.0.1 }').config),
      'ok',
      /only this host/,
    );
  });
});
