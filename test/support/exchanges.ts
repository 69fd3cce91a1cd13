import assert from 'node:assert/strict';
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http';
import { it } from 'node:test';

/** One request, and what must come back. */
export interface Exchange {
  /** A sentence about behaviour. */
  name: string;
  method?: string;
  path: string;
  headers?: OutgoingHttpHeaders;
  /** Strings go with a Content-Length; `chunks` with chunked transfer coding. */
  body?: string | Buffer;
  chunks?: (string | Buffer)[];
  status: number;
  /** Headers of the answer; undefined where one must be absent. */
  answer?: Record<string, string | RegExp | undefined>;
  /** The body as text, or a JSON value that it must hold. */
  text?: string | RegExp;
  json?: unknown;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Each row is a test. */
export function exchanges(url: () => string, rows: readonly Exchange[]): void {
  for (const row of rows) {
    it(row.name, async () => check(await send(url(), row), row));
  }
}

/** Sends one request on a connection of its own, as engines do. */
export function send(url: string, row: Omit<Exchange, 'name' | 'status'>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const outgoing = httpRequest({
      hostname,
      port,
      // As written: a URL object would tidy the path up.
      path: row.path,
      method: row.method ?? 'GET',
      headers: { connection: 'close', ...row.headers },
      agent: false,
    });
    outgoing.once('error', reject);
    outgoing.once('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('error', reject);
      incoming.once('end', () => {
        const { statusCode = 0, headers } = incoming;
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks) });
      });
    });
    if (row.chunks) {
      outgoing.setHeader('transfer-encoding', 'chunked');
      for (const chunk of row.chunks) outgoing.write(chunk);
      outgoing.end();
    } else {
      const body = row.body ?? '';
      if (row.method && !/^(GET|HEAD)$/.test(row.method)) {
        outgoing.setHeader('content-length', Buffer.byteLength(body));
      }
      outgoing.end(body);
    }
  });
}

/** Fails where the answer is not as the row says. */
export function check(answer: Answer, row: Exchange): void {
  const text = answer.body.toString();
  assert.equal(answer.status, row.status, `${row.method ?? 'GET'} ${row.path}: ${text}`);
  for (const [name, wanted] of Object.entries(row.answer ?? {})) {
    const value = answer.headers[name.toLowerCase()]?.toString();
    if (wanted instanceof RegExp) assert.match(value ?? '', wanted, name);
    else assert.equal(value, wanted, name);
  }
  if (row.text instanceof RegExp) assert.match(text, row.text);
  else if (row.text !== undefined) assert.equal(text, row.text);
  if ('json' in row) assert.deepEqual(JSON.parse(text), row.json);
  assert.equal(answer.headers['docker-distribution-api-version'], undefined, 'looks like V2');
  if (answer.status >= 400 && row.method !== 'HEAD') checkError(answer, text, 'json' in row);
}

/** Every error has the one form, and nobody may keep it (v1.md 1.1). */
function checkError(answer: Answer, text: string, compared: boolean): void {
  assert.equal(answer.headers['cache-control'], 'no-cache');
  if (answer.status === 416 || compared) return;
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.deepEqual(Object.keys(JSON.parse(text)), ['error']);
}
