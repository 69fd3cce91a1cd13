import assert from 'node:assert/strict';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { it } from 'node:test';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Call {
  method?: string;
  headers?: Record<string, string | string[]>;
  body?: Buffer | string;
}

/** What an answer must look like. A header that is `null` must be absent. */
export interface Expectation {
  status: number | number[];
  headers?: Record<string, string | RegExp | null>;
  /** The code of the first error in the body (OCI distribution-spec "Error Codes"). */
  code?: string | string[];
  body?: string | Buffer | RegExp;
  json?: unknown;
}

/** One test: a request, and the answer it must get. */
export interface HttpRow extends Call {
  name: string;
  path: string | (() => string);
  expect: Expectation;
}

const agent = new Agent({ keepAlive: true });

/** Sends one well-formed request and reads the whole answer. */
export function send(
  url: string,
  { method = 'GET', headers = {}, body }: Call = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { origin } = new URL(url);
    // The path goes out as it is written: URL would clean it.
    const path = url.slice(origin.length);
    const outgoing = httpRequest(origin, { method, headers, path, agent }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const { statusCode = 0, headers: received } = incoming;
        resolve({ status: statusCode, headers: received, body: Buffer.concat(chunks) });
      });
    });
    outgoing.on('error', reject);
    if (body === undefined && ['POST', 'PUT', 'PATCH'].includes(method)) {
      outgoing.setHeader('Content-Length', headers['content-length'] ?? 0);
    }
    outgoing.end(body);
  });
}

/** An answer to bytes that were sent as they are, and how long it took in milliseconds. */
export interface RawAnswer extends Answer {
  ms: number;
}

/**
 * Sends bytes that need not be HTTP, and reads one answer. Throws when none came within `timeoutMs`, or when the
 * connection ended without one.
 */
export function sendRaw(
  port: number,
  bytes: string | Buffer,
  timeoutMs = 5000,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => fail(new Error('no answer in time')), timeoutMs);
    const finish = (answer: Answer): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...answer, ms: performance.now() - started });
    };
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      const received = Buffer.concat(chunks).toString('latin1').slice(0, 300);
      reject(new Error(`${error.message}; received ${JSON.stringify(received)}`, { cause: error }));
    };
    socket.on('error', fail);
    socket.on('end', () => {
      const answer = parseAnswer(Buffer.concat(chunks), true);
      if (answer) finish(answer);
      else fail(new Error('the connection ended without an answer'));
    });
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      const answer = parseAnswer(Buffer.concat(chunks), false);
      if (answer) finish(answer);
    });
    socket.write(bytes);
  });
}

/** An answer, once it is complete: an interim `100 Continue` is none. */
function parseAnswer(bytes: Buffer, ended: boolean): Answer | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1]);
  if (status === 100) return parseAnswer(bytes.subarray(end + 4), ended);
  const headers: IncomingHttpHeaders = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const body = bytes.subarray(end + 4);
  const length = Number(headers['content-length'] ?? 0);
  if (body.length < length && !ended) return undefined;
  return { status, headers, body: body.subarray(0, length) };
}

/** Throws an AssertionError that shows the answer when it is not as expected. */
export function check(answer: Answer, expected: Expectation): void {
  const shown = `${answer.status} ${JSON.stringify(answer.headers)} ${answer.body.toString().slice(0, 500)}`;
  const statuses = [expected.status].flat();
  assert.ok(statuses.includes(answer.status), `status is not ${statuses.join(' or ')}: ${shown}`);
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    const actual = answer.headers[name.toLowerCase()];
    if (value === null) assert.equal(actual, undefined, `${name} is set: ${shown}`);
    else if (typeof value === 'string') assert.equal(actual, value, `${name} differs: ${shown}`);
    else assert.match(String(actual), value, `${name} differs: ${shown}`);
  }
  if (expected.code !== undefined) {
    const codes = [expected.code].flat();
    assert.ok(codes.includes(errorsOf(answer)[0]?.code ?? ''), `code is not ${codes}: ${shown}`);
  }
  if (expected.json !== undefined) assert.deepEqual(jsonOf(answer), expected.json);
  if (expected.body instanceof RegExp) assert.match(answer.body.toString(), expected.body);
  else if (typeof expected.body === 'string') assert.equal(answer.body.toString(), expected.body);
  else if (expected.body) assert.ok(answer.body.equals(expected.body), `body differs: ${shown}`);
}

/** Each row becomes one test against the server at `base()`. */
export function runRows(base: () => string, rows: readonly HttpRow[]): void {
  for (const { name, path, expect, ...call } of rows) {
    it(name, async () => {
      const answer = await send(base() + (typeof path === 'string' ? path : path()), call);
      check(answer, expect);
    });
  }
}

export function jsonOf<T = unknown>(answer: Answer): T {
  try {
    return JSON.parse(answer.body.toString()) as T;
  } catch {
    throw new Error(`${answer.status} with a body that is not JSON: ${answer.body.toString()}`);
  }
}

export interface OciError {
  code: string;
  message?: string;
  detail?: unknown;
}

/** The errors in a body, which must have the OCI form whatever else it says. */
export function errorsOf(answer: Answer): OciError[] {
  const { errors } = jsonOf<{ errors: OciError[] }>(answer);
  assert.ok(Array.isArray(errors) && errors.length > 0, 'the body has no list of errors');
  for (const { code, message } of errors) {
    assert.match(code, /^[A-Z_]+$/);
    assert.equal(typeof message, 'string');
  }
  return errors;
}

/** The first value of a header; throws when it is not there. */
export function headerOf(answer: Answer, name: string): string {
  const value = answer.headers[name.toLowerCase()];
  const first = Array.isArray(value) ? value[0] : value;
  if (first === undefined) throw new Error(`no ${name} in ${JSON.stringify(answer.headers)}`);
  return first;
}
