import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HTPASSWD, temporaryFile } from '../../support/auth-registry.ts';
import { request } from '../../support/http-client.ts';
import { RegistryProcess, until } from '../../support/registry-process.ts';

function accountsFile(...lines: string[]): string {
  const path = temporaryFile('htpasswd', `${lines.join('\n')}\n`);
  chmodSync(path, 0o600);
  return path;
}

const accounts = accountsFile(HTPASSWD.ann, HTPASSWD.bob);
/** Every unknown name costs as much as this hash, which is of `htpasswd -B -C 10`. */
const costly = accountsFile(`olga:$2b$10$abcdefghijklmnopqrstuu${'c'.repeat(31)}`);
const WORKERS = 4;
/** Longer than workers gather what they tell each other. */
const TOLD_MS = 40;

async function start(environment: Record<string, string>): Promise<RegistryProcess> {
  const registry = await RegistryProcess.start({
    GUNICORN_WORKERS: String(WORKERS),
    REGISTRY_AUTH_HTPASSWD_PATH: accounts,
    ...environment,
  });
  await until(
    'all workers',
    async () => (await registry.workers()).length === WORKERS || undefined,
  );
  await sleep(300);
  return registry;
}

/** The status of a login by Basic, on a connection of its own, which goes to the next worker. */
async function login(registry: RegistryProcess, user: string, password: string, address: string) {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const headers = { authorization, 'x-forwarded-for': address };
  return (await request(`http://127.0.0.1:${registry.port}/v2/`, { headers })).status;
}

describe('limits count over all workers', { concurrency: 2 }, () => {
  test('wrong passwords of an address, of a user, and before a worker that was replaced', async () => {
    const registry = await start({ REGISTRY_AUTH_FAILURESPERMINUTE: '5' });
    const guess = async (
      times: number,
      user: (n: number) => string,
      address: (n: number) => string,
    ) => {
      const seen: number[] = [];
      for (let n = 0; n < times; n++) {
        seen.push(await login(registry, user(n), `guess-${n}`, address(n)));
        await sleep(TOLD_MS);
      }
      return seen;
    };
    const refused = (count: number) => Array.from({ length: count }, () => 429);
    const wrong = Array.from({ length: 5 }, () => 401);
    const oneAddress = await guess(
      12,
      (n) => `user-${n}`,
      () => '192.0.2.1',
    );
    assert.deepEqual(oneAddress, [...wrong, ...refused(7)]);
    const oneUser = await guess(
      12,
      () => 'ann',
      (n) => `192.0.2.${10 + n}`,
    );
    assert.deepEqual(oneUser, [...wrong, ...refused(7)]);
    for (const pid of await registry.workers()) process.kill(pid, 'SIGKILL');
    for (let n = 0; n < 8; n++) assert.equal(await login(registry, 'x', 'y', '192.0.2.1'), 429);
    assert.equal(await login(registry, 'bob', 'secret-bob', '192.0.2.99'), 200);
    await registry.stop();
  });

  test('many guesses at once gain no more than what is being checked at the moment', async () => {
    const registry = await start({
      REGISTRY_AUTH_FAILURESPERMINUTE: '10',
      REGISTRY_AUTH_HTPASSWD_PATH: costly,
    });
    const seen = await Promise.all(
      Array.from({ length: 100 }, (_, n) => login(registry, `user-${n}`, 'guess', '192.0.2.1')),
    );
    const wrong = seen.filter((status) => status === 401).length;
    assert.equal(wrong + seen.filter((status) => status === 429).length, 100);
    // Each worker checks two at a time; counting for itself alone each would let in ten.
    assert.ok(wrong >= 10 && wrong < 30, `${wrong} guesses were let in`);
    await registry.stop();
  });

  test('requests of an address', async () => {
    const registry = await start({ REGISTRY_HTTP_LIMITS_REQUESTSPERMINUTE: '20' });
    const seen: number[] = [];
    for (let n = 0; n < 40; n++) {
      seen.push(await login(registry, 'bob', 'secret-bob', '192.0.2.7'));
      await sleep(TOLD_MS);
    }
    const taken = seen.filter((status) => status === 200).length;
    // A minute's worth at once, and what comes back meanwhile: one in three seconds.
    assert.ok(taken >= 20 && taken <= 22, `${taken} requests were let in`);
    assert.equal(await login(registry, 'bob', 'secret-bob', '192.0.2.8'), 200);
    await registry.stop();
  });
});
