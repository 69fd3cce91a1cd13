import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { check, headerOf, send } from '../../support/http-row.ts';
import { digest, locate, Pusher, randomBlob } from '../../support/oci-content.ts';
import { startServer, useServer } from '../../support/server.ts';

for (const storage of ['memory', 'filesystem'] as const) {
  describe(`uploads on the ${storage} driver`, () => {
    const server = useServer({ storage });
    const push = new Pusher(() => server.url);
    const status = (url: string) => send(url);

    /** Begins a PATCH whose body the caller sends. */
    const beginPatch = (url: string, headers: Record<string, string | number> = {}) => {
      const outgoing = request(url, { method: 'PATCH', headers, agent: false });
      const answer = new Promise<{ status: number; range: string | undefined }>(
        (resolve, reject) => {
          outgoing.on('error', reject);
          outgoing.on('response', (incoming) => {
            incoming.resume();
            const { range } = incoming.headers;
            resolve({ status: incoming.statusCode ?? 0, range });
          });
        },
      );
      answer.catch(() => undefined);
      return { outgoing, answer };
    };
    /** Waits until the upload stands at `end`; its Range is the only way to know. */
    const standsAt = async (url: string, range: string): Promise<void> => {
      for (let attempt = 0; attempt < 100; attempt += 1) {
        if (headerOf(await status(url), 'range') === range) return;
        await pause(10);
      }
      assert.fail(`the upload never stood at ${range}`);
    };

    it('keep what arrived when a client hangs up, and go on from there', async () => {
      const blob = randomBlob(300_000);
      const url = await push.open('repo');
      const { outgoing } = beginPatch(url, { 'content-length': blob.size });
      outgoing.write(blob.bytes.subarray(0, 200_000));
      await pause(100);
      outgoing.destroy();
      await standsAt(url, '0-199999');
      const rest = blob.bytes.subarray(200_000);
      const range = { 'content-range': '200000-299999' };
      const resumed = await send(url, { method: 'PATCH', headers: range, body: rest });
      check(resumed, { status: 202, headers: { range: '0-299999' } });
      const finish = locate(server.url, url, { digest: blob.digest });
      check(await send(finish, { method: 'PUT' }), { status: 201 });
      check(await send(`${server.url}/v2/repo/blobs/${blob.digest}`), {
        status: 200,
        body: blob.bytes,
      });
    });

    it('take one writer at a time; the second is told where the upload stands', async () => {
      const url = await push.open('repo');
      const first = beginPatch(url);
      first.outgoing.write('first');
      await pause(100);
      const second = await send(url, { method: 'PATCH', body: 'second' });
      check(second, { status: 416, headers: { location: /uploads/, range: /^0-\d+$/ } });
      check(await send(url, { method: 'DELETE' }), { status: 416 });
      first.outgoing.end(' and last');
      assert.deepEqual(await first.answer, { status: 202, range: '0-13' });
      const finish = locate(server.url, url, { digest: digest('first and last') });
      check(await send(finish, { method: 'PUT' }), { status: 201 });
    });

    it('are finished by another process on the same store, without its memory', async () => {
      for (const algorithm of ['sha256', 'sha512'] as const) {
        const blob = randomBlob(5000, 'a/b', algorithm);
        const url = await push.open('repo');
        check(await send(url, { method: 'PATCH', body: blob.bytes }), { status: 202 });
        const other = await startServer({ storage: server.driver });
        const path = new URL(url).pathname;
        const finish = `${other.url}${path}?digest=${blob.digest}`;
        check(await send(finish, { method: 'PUT' }), { status: 201 });
        check(await send(`${other.url}/v2/repo/blobs/${blob.digest}`), {
          status: 200,
          body: blob.bytes,
        });
        await other.close();
      }
    });

    it('leave nothing behind, finished, cancelled or refused', async () => {
      const name = 'tidy';
      await push.blob(name, randomBlob());
      const cancelled = await push.open(name);
      await send(cancelled, { method: 'PATCH', body: 'x' });
      check(await send(cancelled, { method: 'DELETE' }), { status: 204 });
      const refused = locate(server.url, await push.open(name), { digest: digest('a') });
      check(await send(refused, { method: 'PUT', body: 'b' }), { status: 400 });
      const whole = `${server.url}/v2/${name}/blobs/uploads/?digest=${digest('a')}`;
      check(await send(whole, { method: 'POST', body: 'b' }), { status: 400 });
      const left: string[] = [];
      for await (const id of server.driver.list(
        `/docker/registry/v2/repositories/${name}/_uploads`,
      )) {
        left.push(id);
      }
      assert.deepEqual(left, []);
    });

    it('answer eight pushes of one blob at once, all with 201', async () => {
      const blob = randomBlob(100_000);
      await Promise.all(Array.from({ length: 8 }, () => push.blob('race', blob)));
      check(await send(`${server.url}/v2/race/blobs/${blob.digest}`), {
        status: 200,
        body: blob.bytes,
      });
    });
  });
}
