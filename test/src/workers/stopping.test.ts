import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RegistryProcess } from '../../support/registry-process.ts';
import { sha256 } from '../../support/tar-layer.ts';
import { V2Client } from '../../support/v2-client.ts';

const bytes = Buffer.alloc(200_000, 'z');

/** A push of one blob whose first half was sent. `status` gives that of its answer, or why there was none. */
async function halfPush(port: number): Promise<{ push: ClientRequest; status: Promise<unknown> }> {
  const url = `http://127.0.0.1:${port}`;
  const target = new URL(await new V2Client(url).startUpload('team/app'), url);
  target.searchParams.set('digest', sha256(bytes));
  const headers = { 'content-type': 'application/octet-stream', 'content-length': bytes.length };
  const push = httpRequest(target, { method: 'PUT', headers });
  const status = once(push, 'response').then(
    ([answer]) => answer.resume().statusCode,
    (error: NodeJS.ErrnoException) => error.code,
  );
  push.write(bytes.subarray(0, 100_000));
  await sleep(150);
  return { push, status };
}

/** Code and signal of the end, and the milliseconds until then. */
async function ended(registry: RegistryProcess, signal: NodeJS.Signals) {
  const began = Date.now();
  const exit = once(registry.child, 'exit');
  registry.signal(signal);
  const [code] = await exit;
  return { code, ms: Date.now() - began };
}

describe('a push that is on its way', { concurrency: 2 }, () => {
  for (const workers of ['1', '2']) {
    const start = (gracefulSeconds: string) =>
      RegistryProcess.start({
        GUNICORN_WORKERS: workers,
        GUNICORN_GRACEFUL_TIMEOUT: gracefulSeconds,
      });

    test(`is finished after TERM (workers: ${workers}), while nothing new is taken`, async () => {
      const registry = await start('30');
      const { push, status } = await halfPush(registry.port);
      const exit = ended(registry, 'SIGTERM');
      await sleep(300);
      await assert.rejects(halfPush(registry.port), { code: 'ECONNREFUSED' });
      push.end(bytes.subarray(100_000));
      assert.equal(await status, 201);
      assert.equal((await exit).code, 0);
    });

    test(`is finished after HUP (workers: ${workers})`, async () => {
      const registry = await start('30');
      const { push, status } = await halfPush(registry.port);
      registry.signal('SIGHUP');
      await registry.event('configuration reloaded');
      push.end(bytes.subarray(100_000));
      assert.equal(await status, 201);
      const url = `http://127.0.0.1:${registry.port}`;
      assert.deepEqual(await new V2Client(url).pullBlob('team/app', sha256(bytes)), bytes);
      await registry.stop();
    });

    test(`is cut when the graceful timeout is over (workers: ${workers}), which the log says`, async () => {
      const registry = await start('1');
      const { status } = await halfPush(registry.port);
      const { code, ms } = await ended(registry, 'SIGTERM');
      assert.equal(code, 0);
      assert.ok(ms >= 900 && ms < 5000, `${ms} ms`);
      assert.equal(await status, 'ECONNRESET');
      await registry.event('requests were cut off, the graceful timeout was over');
    });

    for (const [signal, least, most] of [
      ['SIGINT', 1800, 6000],
      ['SIGQUIT', 0, 1500],
    ] as const) {
      test(`is cut by ${signal} (workers: ${workers}) within ${most} ms`, async () => {
        const registry = await start('3600');
        const { status } = await halfPush(registry.port);
        const { code, ms } = await ended(registry, signal);
        assert.equal(code, 0);
        assert.ok(ms >= least && ms < most, `${ms} ms`);
        assert.equal(await status, 'ECONNRESET');
      });
    }
  }
});
