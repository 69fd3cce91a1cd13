import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type DebugServer, startDebugServer } from '../support/debug-server.ts';
import { eventually } from '../support/eventually.ts';
import { jsonOf, request } from '../support/http-client.ts';
import { makeV1Chain, makeV2Image } from '../support/images.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

const image = makeV2Image({ seed: 41, layers: 2 });

describe('one process', () => {
  let running: DebugServer;
  let receiver: WebhookReceiver;

  before(async () => {
    receiver = await WebhookReceiver.start();
    running = await startDebugServer(`
log: { audit: { file: FOLDER/audit.log } }
health: { file: [{ file: FOLDER/down, interval: 50ms }] }
notifications:
  events: { includereferences: true }
  endpoints: [{ name: ci, url: '${receiver.url}', timeout: 1s, threshold: 3, backoff: 100ms }]
`);
  });
  after(async () => {
    await running.end();
    await receiver.stop();
  });

  it('counts requests, bytes and storage actions by the names that dashboards know', async () => {
    const client = new V2Client(running.server.url);
    await client.pushImage('team/app', 'v1', image);
    await client.expectImage('team/app', 'v1', image);
    const { metric } = running;
    assert.equal(
      await metric('registry_http_requests_total{handler="manifest",method="put",code="201"}'),
      1,
    );
    assert.equal(
      await metric('registry_http_request_duration_seconds_count{handler="blob",method="get"}'),
      3,
    );
    const layers = [...image.blobs.values()].reduce((sum, { length }) => sum + length, 0);
    assert.equal(await metric('isthmus_http_sent_bytes_total{handler="blob"}'), layers);
    assert.equal(
      await metric('isthmus_http_received_bytes_total{handler="blob_upload_chunk"}'),
      layers,
    );
    assert.equal(await metric('registry_http_in_flight_requests{handler="blob"}'), 0);
    assert.equal(await metric('isthmus_uploads_in_flight'), 0);
    const put = 'registry_storage_action_seconds_count{driver="filesystem",action="PutContent"}';
    assert.ok(((await metric(put)) ?? 0) > 0);
    assert.ok(((await metric('registry_storage_cache_requests_total')) ?? 0) > 0);
    assert.equal(await metric('isthmus_workers'), 1);
    assert.ok(((await metric('process_resident_memory_bytes')) ?? 0) > 10_000_000);
  });

  it('tells the endpoint of pushes and pulls, with what a manifest refers to', async () => {
    const pushed = await eventually(
      () => receiver.taken.find(({ target }) => target.tag === 'v1'),
      'the push',
    );
    assert.equal(pushed.action, 'push');
    assert.equal(pushed.target.digest, image.digest);
    assert.equal((pushed.target.references as unknown[]).length, 3);
    assert.match(
      String(pushed.target.url),
      /^http:\/\/127\.0\.0\.1:\d+\/v2\/team\/app\/manifests\//,
    );
    await eventually(
      () => receiver.taken.filter(({ action }) => action === 'pull').length >= 4,
      'the pulls',
    );
    assert.ok(
      ((await running.metric(
        'registry_notifications_events_total{type="Successes",endpoint="ci"}',
      )) ?? 0) >= 8,
    );
  });

  it('tells the endpoint the same of a push over V1: the blobs, then the manifest with its tag', async () => {
    const chain = makeV1Chain({ seed: 42, layers: 2 });
    await new V1Client(running.server.url, '1.5.0').push('team/old', 'v0', chain);
    const pushed = await eventually(
      () => receiver.taken.find(({ target }) => target.tag === 'v0'),
      'the push',
    );
    const manifest = await new V2Client(running.server.url).pullManifest('team/old', 'v0');
    assert.equal(pushed.action, 'push');
    assert.equal(pushed.target.repository, 'team/old');
    assert.equal(pushed.target.digest, manifest.digest);
    assert.equal(pushed.target.mediaType, manifest.mediaType);
    assert.equal(pushed.target.imageId, chain.at(-1)?.id);
    const references = (pushed.target.references as { digest: string }[]).map(
      (each) => each.digest,
    );
    const { layers } = JSON.parse(manifest.bytes.toString()) as { layers: { digest: string }[] };
    assert.deepEqual(
      references.slice(1),
      layers.map(({ digest }) => digest),
    );
    const blobs = receiver.taken.filter(
      ({ action, target }) => action === 'push' && references.includes(String(target.digest)),
    );
    assert.equal(blobs.length, 2);
  });

  it('writes who pushed and pulled what to the audit log', async () => {
    const lines = (await readFile(join(running.folder, 'audit.log'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const push = lines.find(({ action, tag }) => action === 'push' && tag === 'v1');
    assert.equal(push?.digest, image.digest);
    assert.equal(push?.repository, 'team/app');
    assert.equal(push?.address, '127.0.0.1');
    assert.equal(push?.user, null);
    assert.ok(lines.some(({ action }) => action === 'pull'));
  });

  it('answers /debug/health, /debug/vars and nothing else on the debug listener', async () => {
    const { debugUrl } = running;
    const healthy = await request(`${debugUrl}/debug/health`);
    assert.equal(healthy.status, 200);
    assert.equal(healthy.body.toString(), '{}');
    const file = join(running.folder, 'down');
    await writeFile(file, '');
    const ill = await eventually(async () => {
      const answer = await request(`${debugUrl}/debug/health`);
      return answer.status === 503 && answer;
    }, 'the failing check');
    assert.deepEqual(jsonOf(ill), { [file]: 'file exists' });
    assert.equal((await request(`${running.server.url}/v2/`)).status, 503);
    assert.equal((await request(`${running.server.url}/livez`)).status, 200);
    await rm(file);
    await eventually(
      async () => (await request(`${running.server.url}/v2/`)).status === 200,
      'recovery',
    );
    const vars = jsonOf<{ pid: number; notifications: { endpoints: { name: string }[] } }>(
      await request(`${debugUrl}/debug/vars`),
    );
    assert.equal(vars.pid, running.server.pid);
    assert.equal(vars.notifications.endpoints[0]?.name, 'ci');
    assert.equal((await request(`${debugUrl}/debug/health/down`)).status, 404);
    assert.equal((await request(`${debugUrl}/metrics`, { method: 'POST' })).status, 405);
    assert.equal((await request(`${running.server.url}/metrics`)).status, 404);
  });

  it('loses no event of an answered push to kill -9 while the endpoint is away', async () => {
    receiver.react = () => 503;
    const client = new V2Client(running.server.url);
    for (let n = 0; n < 5; n += 1) {
      const each = makeV2Image({ seed: 50 + n, layers: 1 });
      await client.pushImage('team/killed', `k${n}`, each);
    }
    await running.stop('SIGKILL');
    receiver.react = () => 200;
    await running.restart();
    await eventually(() => receiver.tags.includes('k4'), 'the last push');
    const tags = receiver.tags.filter((tag) => String(tag).startsWith('k'));
    assert.deepEqual([...new Set(tags)], ['k0', 'k1', 'k2', 'k3', 'k4']);
  });
});

describe('several workers', () => {
  let running: DebugServer;
  before(async () => {
    running = await startDebugServer('', 3);
  });
  after(() => running.end());

  const COUNT = 'registry_http_requests_total{handler="base",method="get",code="200"}';

  it('are counted together, also after one of them was killed', async () => {
    const before = (await running.metric(COUNT)) ?? 0;
    for (let n = 0; n < 12; n += 1) await request(`${running.server.url}/v2/`);
    assert.equal(await running.metric('isthmus_workers'), 3);
    assert.equal(await running.metric(COUNT), before + 12);
    const { workers } = jsonOf<{ workers: number[] }>(
      await request(`${running.debugUrl}/debug/vars`),
    );
    assert.equal(workers.length, 3);
    process.kill(workers[0] ?? assert.fail(), 'SIGKILL');
    await eventually(async () => {
      const now = jsonOf<{ workers: number[] }>(await request(`${running.debugUrl}/debug/vars`));
      return now.workers.length === 3 && !now.workers.includes(workers[0] ?? 0);
    }, 'the successor');
    await eventually(async () => (await running.metric('isthmus_workers')) === 3, 'its report');
    assert.equal(await running.metric(COUNT), before + 12);
  });
});
