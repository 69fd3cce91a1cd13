import assert from 'node:assert/strict';
import { chmodSync, renameSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { HTPASSWD, temporaryFile } from '../../support/auth-registry.ts';
import { request } from '../../support/http-client.ts';
import { makeV1Chain, makeV2Image } from '../../support/images.ts';
import { RegistryProcess, until } from '../../support/registry-process.ts';
import { Seeded } from '../../support/seeded.ts';
import { V1Client } from '../../support/v1-client.ts';
import { V2Client } from '../../support/v2-client.ts';

const WORKERS = 3;
const KILLS = 6;

/** Longer than a busy machine takes to start workers anew, each after the pause that is due to it. */
const PATIENCE_MS = 40_000;
/** Who could not start is gone by then. */
const STAY_MS = 1500;

/** Does what an engine does whose user tries again: until it worked, and never given up for long. */
async function insist(what: string, attempt: () => Promise<unknown>): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (Date.now() > deadline)
        throw new Error(`${what} failed again and again`, { cause: error });
      await sleep(30);
    }
  }
}

describe('workers that die', { concurrency: 2 }, () => {
  test('take nothing with them that was answered: pushes over V1 and V2 while they are killed at random', async () => {
    const registry = await RegistryProcess.start({ GUNICORN_WORKERS: String(WORKERS) });
    const url = `http://127.0.0.1:${registry.port}`;
    const random = new Seeded(71);
    let pushing = true;
    const pushed: (() => Promise<unknown>)[] = [];
    const pushV2 = async (name: string, seed: number) => {
      const image = makeV2Image({ seed, layers: 2 });
      const client = new V2Client(url);
      await insist(`push of ${name}`, () => client.pushImage(name, 'v1', image));
      pushed.push(() => client.expectImage(name, 'v1', image));
    };
    const pushV1 = async (name: string, seed: number) => {
      const chain = makeV1Chain({ seed, layers: 2 });
      const client = new V1Client(url, '1.5.0');
      await insist(`push of ${name}`, () => client.push(name, 'v1', chain));
      pushed.push(async () => {
        const { images } = await client.pull(name, 'v1');
        assert.deepEqual(
          images.map(({ id, layer }) => ({ id, layer })),
          chain.map(({ id, layer }) => ({ id, layer })),
        );
      });
    };
    const clients = [0, 1, 2, 3].map(async (client) => {
      // A busy machine takes its time; each client is to push on through several deaths.
      for (let n = 0; pushing || n < 2; n++) {
        const push = client % 2 === 0 ? pushV2 : pushV1;
        await push(`team/app-${client}-${n}`, 1000 * (client + 1) + n);
      }
    });
    for (let kills = 0; kills < KILLS; kills++) {
      await sleep(100 + (random.next() % 300));
      const worker = await until('a worker', async () => {
        const workers = await registry.workers();
        return workers[random.next() % workers.length];
      });
      process.kill(worker, 'SIGKILL');
    }
    pushing = false;
    await Promise.all(clients);
    assert.ok(pushed.length >= 8, `only ${pushed.length} pushes`);
    for (const isThere of pushed) await isThere();
    await until(
      'all workers',
      async () => (await registry.workers()).length === WORKERS || undefined,
    );
    await until(
      'all deaths in the log',
      () =>
        registry.log().filter(({ event }) => event === 'worker died').length >= KILLS || undefined,
    );
    await registry.stop();
  });

  test('again and again as soon as they start are replaced at growing intervals, while the others serve', async () => {
    const accounts = temporaryFile('htpasswd', `${HTPASSWD.ann}\n`);
    chmodSync(accounts, 0o600);
    const registry = await RegistryProcess.start({
      GUNICORN_WORKERS: '2',
      REGISTRY_AUTH_HTPASSWD_PATH: accounts,
    });
    const workers = await until('two workers', async () => {
      const pids = await registry.workers();
      return pids.length === 2 ? pids : undefined;
    });
    // Without its accounts no worker starts.
    renameSync(accounts, `${accounts}.away`);
    const [victim] = workers as [number];
    process.kill(victim, 'SIGKILL');
    const deaths = () => registry.log().filter(({ event }) => event === 'worker died');
    await until('five deaths', () => deaths().length >= 5 || undefined);
    const { status } = await request(`http://127.0.0.1:${registry.port}/v2/`);
    assert.equal(status, 401);
    const delays = deaths().map(({ successorInMs }) => successorInMs);
    assert.equal(delays[0], 0);
    const grown = delays.filter((ms) => ms !== 0);
    assert.deepEqual(grown, [200, 400, 800, 1600].slice(0, grown.length));
    assert.match(String(deaths()[1]?.reason), /htpasswd/);
    renameSync(`${accounts}.away`, accounts);
    await until('two workers that stay', async () => {
      const before = await registry.workers();
      await sleep(STAY_MS);
      return (
        (before.length === 2 && isDeepStrictEqual(await registry.workers(), before)) || undefined
      );
    });
    await registry.stop();
  });
});
