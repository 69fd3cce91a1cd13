import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { request } from '../support/http-client.ts';
import { makeV2Image } from '../support/images.ts';
import { RegistryProcess, runProgram, until } from '../support/registry-process.ts';
import { makeCertificate } from '../support/self-signed.ts';
import { V2Client } from '../support/v2-client.ts';

const isRoot = process.getuid?.() === 0;
const folder = mkdtempSync(join(tmpdir(), 'privileges-'));
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true }));

/** A user that every system has, and its numbers in /etc/passwd. */
const [, , uid = 0, gid = 0] =
  readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((line) => line.startsWith('nobody:'))
    ?.split(':')
    .map(Number) ?? [];

/** The four numbers of a line such as `Uid:` in /proc/PID/status. */
function ids(pid: number, name: 'Uid' | 'Gid' | 'Groups'): number[] {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, numbers = ''] = new RegExp(`^${name}:(.*)$`, 'm').exec(status) ?? [];
  return numbers.trim().split(/\s+/).filter(Boolean).map(Number);
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true }).map((name) => join(directory, String(name)));
}

/** A folder that belongs to that user. */
function ownFolder(name: string): string {
  const path = mkdtempSync(join(folder, name));
  chownSync(path, uid, gid);
  return path;
}

if (isRoot) {
  describe('started by root with a user to become', { concurrency: 2 }, () => {
    for (const workers of [1, 2]) {
      test(`${workers} of the user, with none of root's groups, serve on a port below 1024; the master stays`, async () => {
        const storage = ownFolder('storage-');
        const registry = await RegistryProcess.start({
          SETTINGS_FLAVOR: 'prod',
          STANDALONE: 'true',
          STORAGE_PATH: storage,
          REGISTRY_HOST: '127.0.0.1',
          REGISTRY_PORT: String(930 + workers),
          GUNICORN_WORKERS: String(workers),
          GUNICORN_USER: 'nobody',
        });
        assert.equal(registry.port, 930 + workers);
        const pids = await registry.workers();
        assert.equal(pids.length, workers);
        for (const pid of pids) {
          assert.deepEqual(ids(pid, 'Uid'), [uid, uid, uid, uid]);
          assert.deepEqual(ids(pid, 'Gid'), [gid, gid, gid, gid]);
          assert.deepEqual(ids(pid, 'Groups'), [gid]);
        }
        assert.deepEqual(ids(registry.child.pid ?? 0, 'Uid'), [0, 0, 0, 0]);
        const image = makeV2Image({ seed: 5, layers: 1 });
        const client = new V2Client(`http://127.0.0.1:${registry.port}`);
        await client.pushImage('team/app', 'v1', image);
        await client.expectImage('team/app', 'v1', image);
        const stored = files(storage);
        assert.ok(stored.length > 10);
        for (const path of stored) assert.equal(statSync(path).uid, uid, path);
        await registry.stop();
      });
    }

    test('log files belong to the user, also those that are made anew after a rotation', async () => {
      // Root's folder, in which the user may make nothing, as /var/log is.
      const logs = mkdtempSync(join(folder, 'logs-'));
      chmodSync(logs, 0o755);
      const [access, errors, audit] = ['access', 'error', 'audit'].map((name) =>
        join(logs, name),
      ) as [string, string, string];
      const registry = await RegistryProcess.start(
        {
          SETTINGS_FLAVOR: 'prod',
          STANDALONE: 'true',
          STORAGE_PATH: ownFolder('storage-'),
          REGISTRY_HOST: '127.0.0.1',
          GUNICORN_WORKERS: '2',
          GUNICORN_USER: 'nobody',
          GUNICORN_ACCESS_LOG_FILE: access,
          GUNICORN_ERROR_LOG_FILE: errors,
          REGISTRY_LOG_AUDIT_FILE: audit,
        },
        [],
        { logFile: errors },
      );
      const client = new V2Client(`http://127.0.0.1:${registry.port}`);
      const told = (file: string) =>
        until(`a line in ${file}`, async () => {
          await client.pushImage('team/app', 'v1', makeV2Image({ seed: 6, layers: 1 }));
          return statSync(file).size > 0 || undefined;
        });
      await told(access);
      await told(audit);
      for (const file of [access, errors, audit]) renameSync(file, `${file}.1`);
      registry.signal('SIGUSR1');
      await until('new files', () => readdirSync(logs).length === 6 || undefined);
      await told(access);
      await told(audit);
      for (const file of [access, errors, audit]) {
        const { uid: owner, gid: group } = statSync(file);
        assert.deepEqual([owner, group], [uid, gid], file);
      }
      assert.doesNotMatch(readFileSync(errors, 'utf8'), /not reopened/);
      await registry.stop();
    });

    test('a storage that the user may not write is told at start with the fix; pushes get 503', async () => {
      const storage = mkdtempSync(join(folder, 'roots-'));
      chmodSync(storage, 0o755);
      const registry = await RegistryProcess.start({
        SETTINGS_FLAVOR: 'prod',
        STANDALONE: 'true',
        STORAGE_PATH: storage,
        REGISTRY_HOST: '127.0.0.1',
        GUNICORN_WORKERS: '1',
        GUNICORN_USER: 'nobody',
      });
      const { fix } = await registry.event('the storage takes no writes');
      assert.equal(
        fix,
        `give the folder to the user that runs the registry: chown -R ${uid} FOLDER`,
      );
      const refused = await request(
        `http://127.0.0.1:${registry.port}/v2/team/app/blobs/uploads/`,
        {
          method: 'POST',
        },
      );
      assert.equal(refused.status, 503, refused.body.toString());
      assert.match(refused.body.toString(), /"UNAVAILABLE".*may not write/);
      chownSync(storage, uid, gid);
      const client = new V2Client(`http://127.0.0.1:${registry.port}`);
      await client.pushImage('team/app', 'v1', makeV2Image({ seed: 7, layers: 1 }));
      await registry.stop();
    });

    test('a key that the user may not read is named at start, with the fix', async () => {
      const { certificate, key } = makeCertificate(mkdtempSync(join(folder, 'tls-')));
      chmodSync(key, 0o600);
      const outcome = await runProgram(['serve'], {
        SETTINGS_FLAVOR: 'test',
        REGISTRY_PORT: '0',
        REGISTRY_HTTP_TLS_CERTIFICATE: certificate,
        REGISTRY_HTTP_TLS_KEY: key,
        GUNICORN_USER: 'nobody',
      });
      assert.equal(outcome.code, 1);
      assert.match(outcome.stderr, /can't read .*: EACCES.*; let the user that runs the registry/);
    });

    test("the doctor looks with that user's eyes, or with those of the storage's owner, and leaves nothing of root's", async () => {
      const roots = mkdtempSync(join(folder, 'roots-'));
      chmodSync(roots, 0o755);
      const accounts = join(folder, 'htpasswd');
      writeFileSync(accounts, 'ann:$2y$05$x\n', { mode: 0o600 });
      const environment = {
        SETTINGS_FLAVOR: 'prod',
        REGISTRY_PORT: '0',
        AUTH_HTPASSWD_PATH: accounts,
      };
      const refused = await runProgram(['doctor'], {
        ...environment,
        STORAGE_PATH: roots,
        GUNICORN_USER: 'nobody',
      });
      assert.equal(refused.code, 1);
      assert.match(refused.stdout, /files are looked at as nobody/);
      assert.match(refused.stdout, /PROBLEM +accounts: EACCES.*\n.*chmod 640/);
      assert.match(refused.stdout, /PROBLEM +storage: can't write: .*\n.*chown -R/);
      const own = ownFolder('owned-');
      const fine = await runProgram(['doctor'], { ...environment, STORAGE_PATH: own });
      assert.match(fine.stdout, new RegExp(`as user ${uid}, to whom the storage belongs`));
      assert.match(fine.stdout, /ok +storage: filesystem takes writes/);
      for (const path of files(own)) assert.equal(statSync(path).uid, uid, path);
    });

    test('commands of root on the storage of another user say how not to leave files that the registry can not change', async () => {
      const environment = { SETTINGS_FLAVOR: 'prod', STANDALONE: 'true' };
      const own = ownFolder('owned-');
      const warned = await runProgram(['garbage-collect'], { ...environment, STORAGE_PATH: own });
      assert.equal(warned.code, 0);
      assert.match(warned.stderr, new RegExp(`chown -R ${uid}:${gid} ${own}`));
      const roots = mkdtempSync(join(folder, 'roots-'));
      const silent = await runProgram(['garbage-collect'], { ...environment, STORAGE_PATH: roots });
      assert.doesNotMatch(silent.stderr, /belongs to another user/);
    });

    test('a user that does not exist is named at start, with the fix', async () => {
      const outcome = await runProgram(['serve'], {
        SETTINGS_FLAVOR: 'test',
        REGISTRY_PORT: '0',
        GUNICORN_USER: 'no-such-user',
      });
      assert.equal(outcome.code, 1);
      assert.match(
        outcome.stderr,
        /can't become no-such-user: .*create that user, or set GUNICORN_USER/,
      );
    });
  });
} else {
  test('without root the user stays, which is said once', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_USER: 'nobody' });
    await registry.event('only root can become another user; user and group are ignored');
    await registry.stop();
  });
}
