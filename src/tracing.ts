import type * as OpenTelemetry from '@opentelemetry/api';
import type { Middleware } from 'koa';
import type { ActionObserver, StorageAction } from '../storage/drivers/instrumented.ts';
import { PathNotFoundError } from '../storage/errors.ts';
import { routeName } from './metrics/route-name.ts';
import { version } from './version.ts';

type Api = typeof OpenTelemetry;
type Span = OpenTelemetry.Span;

/** Where an SDK that the operator brought (`node --import …`) leaves its providers, for every copy of the API. */
const GLOBAL = Symbol.for('opentelemetry.js.api.1');

/** Spans for requests and for what the storage driver does. */
export interface Tracing {
  middleware: Middleware;
  storageObservers(driver: string): (action: StorageAction) => ActionObserver<Span>;
}

/**
 * Tracing through the operator's OpenTelemetry SDK; undefined when there is none, so that nothing is loaded and no
 * request pays. To be called once the process is set up: an SDK that comes later is not seen.
 */
export async function openTracing(prefix = ''): Promise<Tracing | undefined> {
  if (!(GLOBAL in globalThis)) return undefined;
  const api: Api = await import('@opentelemetry/api');
  const tracer = api.trace.getTracer('isthmus', version());
  // Without a tracer provider, spans have no identity; this one is never ended, so nobody gets to see it.
  if (!api.isSpanContextValid(tracer.startSpan('probe').spanContext())) return undefined;
  return {
    middleware: requestSpans(api, tracer, prefix),
    storageObservers: (driver) => storageSpans(api, tracer, driver),
  };
}

/** A server span for each request, a child of the client's span (HTTP semantic conventions). */
function requestSpans(api: Api, tracer: OpenTelemetry.Tracer, prefix: string): Middleware {
  return (ctx, next) => {
    const parent = api.propagation.extract(api.context.active(), ctx.req.headers);
    const route = routeName(ctx.req.url ?? '', prefix);
    const span = tracer.startSpan(
      `${ctx.method} ${route}`,
      {
        kind: api.SpanKind.SERVER,
        attributes: {
          'http.request.method': ctx.method,
          'http.route': route,
          'url.path': ctx.path,
          'client.address': ctx.ip,
          'user_agent.original': ctx.get('user-agent'),
        },
      },
      parent,
    );
    ctx.res.once('close', () => {
      const { statusCode, writableFinished } = ctx.res;
      span.setAttribute('http.response.status_code', statusCode);
      const { repository, requestId } = ctx.state;
      if (typeof repository === 'string') span.setAttribute('isthmus.repository', repository);
      if (typeof requestId === 'string') span.setAttribute('isthmus.request_id', requestId);
      if (!writableFinished) span.setAttribute('error.type', 'client gone');
      if (statusCode >= 500) span.setStatus({ code: api.SpanStatusCode.ERROR });
      span.end();
    });
    return api.context.with(api.trace.setSpan(parent, span), next);
  };
}

function storageSpans(
  api: Api,
  tracer: OpenTelemetry.Tracer,
  driver: string,
): (action: StorageAction) => ActionObserver<Span> {
  return (action) => ({
    begin: (path) =>
      tracer.startSpan(`storage ${action}`, {
        kind: api.SpanKind.INTERNAL,
        attributes: { 'isthmus.storage.driver': driver, 'isthmus.storage.path': path },
      }),
    end: (span, error) => {
      if (error !== undefined && !(error instanceof PathNotFoundError)) {
        span.setStatus({ code: api.SpanStatusCode.ERROR, message: String(error) });
      }
      span.end();
    },
  });
}
