import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Attributes,
  type Context,
  context,
  defaultTextMapGetter,
  propagation,
  type Span,
  type SpanContext,
  type SpanOptions,
  trace,
} from '@opentelemetry/api';
import { openTracing } from '../../src/tracing.ts';
import { instrumented } from '../../storage/drivers/instrumented.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';
import { type RunningServer, serveApp } from '../support/app-server.ts';
import { request } from '../support/http-client.ts';

interface Recorded {
  name: string;
  attributes: Attributes;
  parent: SpanContext | undefined;
  failed: boolean;
}

/** What an operator's SDK does, as little of it as shows. */
function recordSpans(ended: Recorded[]): void {
  const startSpan = (name: string, options: SpanOptions = {}, from: Context = context.active()) => {
    const recorded: Recorded = {
      name,
      attributes: { ...options.attributes },
      parent: trace.getSpanContext(from),
      failed: false,
    };
    const spanContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
    const span: Partial<Span> = {
      spanContext: () => spanContext,
      setAttribute(key, value) {
        recorded.attributes[key] = value;
        return span as Span;
      },
      setStatus() {
        recorded.failed = true;
        return span as Span;
      },
      end: () => void ended.push(recorded),
    };
    return span as Span;
  };
  trace.setGlobalTracerProvider({
    getTracer: () => ({ startSpan, startActiveSpan: () => assert.fail('not used') }),
  });
  propagation.setGlobalPropagator({
    inject: () => {},
    fields: () => ['traceparent'],
    extract(from, carrier) {
      const header = String(defaultTextMapGetter.get(carrier, 'traceparent') ?? '');
      const [, traceId = '', spanId = ''] = header.split('-');
      return traceId === ''
        ? from
        : trace.setSpanContext(from, { traceId, spanId, traceFlags: 1, isRemote: true });
    },
  });
}

describe('tracing', () => {
  const ended: Recorded[] = [];
  let server: RunningServer | undefined;
  before(async () => {
    assert.equal(await openTracing(), undefined, 'without an SDK there is nothing');
    recordSpans(ended);
    const tracing = (await openTracing()) ?? assert.fail('the SDK was not found');
    const driver = instrumented(new MemoryDriver(), tracing.storageObservers('memory'));
    server = await serveApp(driver, { endpoints: [tracing.middleware], direct: false });
  });
  after(async () => {
    await server?.stop();
    trace.disable();
    propagation.disable();
  });

  it('makes a span of a request below that of its client, and spans of the storage', async () => {
    const parent = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16) };
    const headers = { traceparent: `00-${parent.traceId}-${parent.spanId}-01` };
    await request(`${server?.url}/v2/team/app/manifests/v1`, { headers });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const span = ended.find(({ name }) => name === 'GET manifest') ?? assert.fail('no span');
    assert.equal(span.parent?.traceId, parent.traceId);
    assert.equal(span.parent?.spanId, parent.spanId);
    assert.equal(span.attributes['http.response.status_code'], 404);
    assert.equal(span.attributes['isthmus.repository'], 'team/app');
    assert.equal(span.failed, false);
    const storage = ended.filter(({ name }) => name.startsWith('storage '));
    assert.ok(storage.length > 0);
    assert.equal(storage[0]?.attributes['isthmus.storage.driver'], 'memory');
  });
});
