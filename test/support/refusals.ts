import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { check, errorsOf, headerOf, send, sendRaw } from './http-row.ts';
import { type Image, image, Pusher } from './oci-content.ts';
import { type TestServer, useServer } from './server.ts';
import { snapshot } from './snapshot.ts';

/** A request that must be refused. */
export interface Refusal {
  name: string;
  /** The bytes that are sent. */
  bytes: () => string | Buffer;
  status: number | number[];
  code?: string | string[];
}

export const HEX = 'a'.repeat(64);
/** A digest that nothing has. */
export const UNKNOWN = `sha256:${HEX}`;

/** More than this for a refusal would let a client stall the server, in milliseconds. */
const QUICK_MS = 2000;

export interface Refusals {
  server: TestServer;
  /** An image that is stored in `repo` under the tag `latest`. */
  pushed(): Image;
  /** The path of an upload into `repo` that holds ten bytes. */
  upload(): string;
  /** What the store holds. */
  stored(): Record<string, string>;
  /** One test: the request gets a 4xx in the OCI form, quickly, and leaves the store as it was. */
  refuse(row: Refusal): void;
  /** A request as it goes over the wire; `headers` are whole lines. */
  http(method: string, target: string, headers?: string[], body?: string | Buffer): Buffer;
  /** Lines of a request, with the empty line at the end. */
  raw(...lines: string[]): string;
}

/** A registry with some content, for a `describe` whose requests are all refused; it holds at least `rows` of them. */
export function useRefusals(rows: number): Refusals {
  // Hooks after the tests run in the order in which they are written: this one before the server closes.
  after(async () => {
    assert.ok(count >= rows, `only ${count} rows`);
    // The next client is served as if nothing had been.
    const answer = await send(`${server.url}/v2/repo/manifests/latest`);
    check(answer, { status: 200, body: pushed().bytes });
    check(await send(server.url + upload), { status: 204, headers: { range: '0-9' } });
    assert.deepEqual(server.failures, []);
  });
  const server = useServer();
  let latest: Image | undefined;
  let upload = '';
  let stored: Record<string, string> = {};
  let count = 0;
  const pushed = (): Image => {
    assert.ok(latest);
    return latest;
  };

  before(async () => {
    const push = new Pusher(() => server.url);
    latest = await push.image('repo', image(), 'latest');
    const opened = await send(await push.open('repo'), { method: 'PATCH', body: 'ten bytes.' });
    upload = new URL(headerOf(opened, 'location')).pathname;
    stored = await snapshot(server.driver);
  });
  return {
    server,
    pushed,
    upload: () => upload,
    stored: () => stored,
    refuse(row) {
      count += 1;
      it(row.name, async () => {
        const answer = await sendRaw(server.port, row.bytes());
        check(answer, { status: row.status, ...(row.code && { code: row.code }) });
        assert.ok(answer.status >= 400 && answer.status < 500);
        assert.equal(answer.headers['content-type'], 'application/json');
        errorsOf(answer);
        assert.ok(answer.ms < QUICK_MS, `took ${answer.ms} ms`);
        assert.deepEqual(await snapshot(server.driver), stored);
      });
    },
    http(method, target, headers = [], body = '') {
      const length = body.length > 0 ? [`Content-Length: ${Buffer.byteLength(body)}`] : [];
      const head = [`${method} ${target} HTTP/1.1`, 'Host: r.test', ...length, ...headers];
      return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), Buffer.from(body)]);
    },
    raw: (...lines) => `${lines.join('\r\n')}\r\n\r\n`,
  };
}
