import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { openTracing } from '../../src/tracing.ts';
import { request } from '../support/http-client.ts';
import { makeV2Image } from '../support/images.ts';
import { RegistryProcess, until } from '../support/registry-process.ts';
import type { RecordedSpan } from '../support/span-recorder.ts';
import { V2Client } from '../support/v2-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracing-'));
after(() => rmSync(folder, { recursive: true }));
const SDK = join(import.meta.dirname, '../support/span-recorder.js');

/** A registry as an operator starts it who brings an SDK, and the spans that it exports. */
async function start(name: string, environment: Record<string, string> = {}) {
  const file = join(folder, name);
  const registry = await RegistryProcess.start({
    NODE_OPTIONS: `--import=${SDK}`,
    SPANS_FILE: file,
    ...environment,
  });
  const spans = () =>
    !existsSync(file)
      ? []
      : readFileSync(file, 'utf8')
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as RecordedSpan);
  const span = (what: string, fits: (span: RecordedSpan) => boolean) =>
    until(`a span of ${what}`, () => spans().find(fits));
  return { registry, url: `http://127.0.0.1:${registry.port}`, spans, span };
}

describe("tracing by an operator's OpenTelemetry SDK", { concurrency: 2 }, () => {
  it('makes a span of a request below that of its client, and spans of the storage below that', async () => {
    const { registry, url, spans, span } = await start('one');
    const parent = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16) };
    const headers = { traceparent: `00-${parent.traceId}-${parent.spanId}-01` };
    await request(`${url}/v2/team/app/manifests/v1`, { headers });
    const found = await span('the manifest', ({ name }) => name === 'GET manifest');
    assert.equal(found.traceId, parent.traceId);
    assert.equal(found.parentId, parent.spanId);
    assert.equal(found.attributes['http.response.status_code'], 404);
    assert.equal(found.attributes['isthmus.repository'], 'team/app');
    assert.equal(found.failed, false);
    const storage = spans().filter(
      ({ name, traceId }) => name.startsWith('storage ') && traceId === parent.traceId,
    );
    assert.ok(storage.length > 0);
    for (const each of storage) {
      assert.equal(each.parentId, found.spanId);
      assert.equal(each.attributes['isthmus.storage.driver'], 'memory');
    }
    await registry.stop();
  });

  it('sees every request of a push and a pull, in every worker', async () => {
    const { registry, url, spans, span } = await start('two', { GUNICORN_WORKERS: '2' });
    const client = new V2Client(url);
    const image = makeV2Image({ seed: 3, layers: 2 });
    await client.pushImage('team/app', 'v1', image);
    await client.expectImage('team/app', 'v1', image);
    await span('the pull', ({ name }) => name === 'GET blob');
    await registry.stop();
    const requests = registry.requests();
    const served = spans().filter(({ attributes }) => 'http.route' in attributes);
    assert.equal(served.length, requests.length);
    const ids = new Set(served.map(({ attributes }) => attributes['isthmus.request_id']));
    for (const { requestId } of requests) assert.ok(ids.has(requestId), String(requestId));
    assert.equal(new Set(served.map(({ pid }) => pid)).size, 2);
  });

  it('is nothing, and costs nothing, without an SDK', async () => {
    assert.equal(await openTracing(), undefined);
  });
});
