import type { IncomingMessage } from 'node:http';
import type { Exchange, Onlooker } from '../exchange.ts';
import {
  DURATION_BOUNDS,
  type Histogram,
  type MetricRegistry,
  SIZE_BOUNDS,
  type Value,
} from './registry.ts';
import { type RouteName, routeName } from './route-name.ts';

const METHODS = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']);
/** Status of an answer that its client did not wait for. */
const CLIENT_GONE = 499;

/** The numbers of one route and method. */
interface Counts {
  inFlight: Value;
  seconds: Histogram;
  requestBytes: Histogram;
  responseBytes: Histogram;
  received: Value;
  sent: Value;
  /** Present where the request brings an upload. */
  uploads: Value | undefined;
  total(status: number): Value;
}

/** Counts requests under distribution's names (v2.md 5.6), and what else an operator of both protocols asks. */
export class HttpMetrics {
  readonly #prefix: string;
  readonly #known = new Map<RouteName, Map<string, Counts>>();
  readonly #make: (route: RouteName, method: string) => Counts;

  /** `prefix` is the path under which everything lives. */
  constructor(metrics: MetricRegistry, prefix = '') {
    this.#prefix = prefix;
    this.#make = counters(metrics);
  }

  /** To be told of every request. */
  readonly onlooker: Onlooker = (exchange) => {
    const { req } = exchange;
    const { method } = exchange;
    const counts = this.#counts(
      routeName(req.url ?? '', this.#prefix),
      METHODS.has(method) ? method : 'OTHER',
    );
    const readBefore = req.socket.bytesRead;
    counts.inFlight.add(1);
    counts.uploads?.add(1);
    return () => finish(exchange, counts, readBefore);
  };

  #counts(route: RouteName, method: string): Counts {
    let byMethod = this.#known.get(route);
    if (byMethod === undefined) {
      byMethod = new Map();
      this.#known.set(route, byMethod);
    }
    let counts = byMethod.get(method);
    if (counts === undefined) {
      counts = this.#make(route, method);
      byMethod.set(method, counts);
    }
    return counts;
  }
}

function counters(metrics: MetricRegistry): (route: RouteName, method: string) => Counts {
  const inFlight = metrics.gauge(
    'registry_http_in_flight_requests',
    'Requests that are being served.',
    ['handler'],
  );
  const total = metrics.counter('registry_http_requests_total', 'Requests served.', [
    'handler',
    'method',
    'code',
  ]);
  const seconds = metrics.histogram(
    'registry_http_request_duration_seconds',
    'Time from the headers of a request to the end of its answer.',
    ['handler', 'method'],
    DURATION_BOUNDS,
  );
  const requestBytes = metrics.histogram(
    'registry_http_request_size_bytes',
    'Bytes of request bodies.',
    ['handler'],
    SIZE_BOUNDS,
  );
  const responseBytes = metrics.histogram(
    'registry_http_response_size_bytes',
    'Bytes of answers’ bodies.',
    ['handler'],
    SIZE_BOUNDS,
  );
  const received = metrics.counter(
    'isthmus_http_received_bytes_total',
    'Bytes of request bodies.',
    ['handler'],
  );
  const sent = metrics.counter('isthmus_http_sent_bytes_total', 'Bytes of answers’ bodies.', [
    'handler',
  ]);
  const uploads = metrics.gauge('isthmus_uploads_in_flight', 'Uploads that receive bytes now.');
  return (route, method) => {
    const totals = new Map<number, Value>();
    return {
      inFlight: inFlight.with(route),
      seconds: seconds.with(route, method.toLowerCase()),
      requestBytes: requestBytes.with(route),
      responseBytes: responseBytes.with(route),
      received: received.with(route),
      sent: sent.with(route),
      uploads: isUpload(route, method) ? uploads.with() : undefined,
      total(status) {
        let value = totals.get(status);
        if (value === undefined) {
          value = total.with(route, method.toLowerCase(), String(status));
          totals.set(status, value);
        }
        return value;
      },
    };
  };
}

/** Whether a request of this kind brings bytes of a blob or layer. */
export function isUpload(route: RouteName, method: string): boolean {
  if (route === 'v1_layer') return method === 'PUT';
  if (route === 'blob_upload_chunk') return method === 'PATCH' || method === 'PUT';
  return route === 'blob_upload' && method === 'POST';
}

function finish(exchange: Exchange, counts: Counts, readBefore: number): void {
  const received = receivedBytes(exchange.req, readBefore);
  const sent = exchange.sentBytes;
  counts.inFlight.add(-1);
  counts.uploads?.add(-1);
  counts.total(exchange.aborted ? CLIENT_GONE : exchange.res.statusCode).add(1);
  counts.seconds.observe(exchange.elapsed / 1000);
  counts.requestBytes.observe(received);
  counts.responseBytes.observe(sent);
  counts.received.add(received);
  counts.sent.add(sent);
}

function receivedBytes(req: IncomingMessage, before: number): number {
  const declared = req.headers['content-length'];
  if (declared === undefined && req.headers['transfer-encoding'] === undefined) return 0;
  const moved = req.socket.bytesRead - before;
  if (declared === undefined) return moved;
  // The body may have come in one piece with the headers, before counting began.
  return req.complete ? Number(declared) : Math.min(Number(declared), moved);
}
