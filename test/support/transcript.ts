import { createHash } from 'node:crypto';
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { type RunningServer, serve } from './app-server.ts';

interface Exchange {
  asked: string;
  answered: string;
}

/** Headers that say nothing of the protocol, or differ each time. */
const DULL = new Set([
  'accept-encoding',
  'connection',
  'date',
  'host',
  'keep-alive',
  'transfer-encoding',
  'x-content-type-options',
]);
/** What forbids to keep an answer, always together. */
const UNCACHED: Record<string, string> = {
  'cache-control': 'no-cache',
  expires: '-1',
  pragma: 'no-cache',
};
/** What engines ask side by side, in no order. */
const SIDE_BY_SIDE = /^> GET \/v1\/images\/[^/]+\/(json|layer)$/m;

/** Stands between a client and a registry, and writes down what they say to each other. */
export class Transcript {
  readonly #exchanges: Exchange[] = [];
  readonly #server: RunningServer;
  readonly #target: string;
  readonly #names: Record<string, string>;

  private constructor(server: RunningServer, target: string, names: Record<string, string>) {
    this.#server = server;
    this.#target = target;
    this.#names = names;
  }

  /** `names`: short names to write for long words, such as image IDs. */
  static async of(target: string, names: Record<string, string> = {}): Promise<Transcript> {
    let self: Transcript | undefined;
    const server = await serve((request, response) => void self?.pass(request, response));
    self = new Transcript(server, target, names);
    return self;
  }

  get url(): string {
    return this.#server.url;
  }

  /** All since the last call, in the order of the questions. */
  take(): string {
    const run: Exchange[] = [];
    const sorted: Exchange[] = [];
    const end = () => {
      sorted.push(...run.sort((a, b) => (a.asked < b.asked ? -1 : 1)));
      run.length = 0;
    };
    for (const exchange of this.#exchanges.splice(0)) {
      const kind = SIDE_BY_SIDE.exec(exchange.asked)?.[1];
      if (kind === undefined || !run.every(({ asked }) => asked.includes(`/${kind}\n`))) end();
      if (kind === undefined) sorted.push(exchange);
      else run.push(exchange);
    }
    end();
    return sorted.map(({ asked, answered }) => `${asked}${answered}`).join('\n');
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange: Exchange = { asked: '', answered: '' };
    this.#exchanges.push(exchange);
    const { method = 'GET', url = '' } = request;
    const body = await bytesOf(request);
    exchange.asked = this.#written('>', `${method} ${url}`, request.headers, body);
    const { 'transfer-encoding': _, ...headers } = request.headers;
    const length = { 'content-length': body.length };
    const onward = httpRequest(this.#target + url, {
      method,
      headers: { ...headers, ...(method === 'PUT' || method === 'POST' ? length : {}) },
      agent: false,
    });
    onward.on('response', async (answer) => {
      const bytes = await bytesOf(answer);
      const status = String(answer.statusCode);
      exchange.answered = this.#written('<', status, answer.headers, bytes);
      response.writeHead(answer.statusCode ?? 500, answer.headers).end(bytes);
    });
    onward.end(body);
  }

  #written(mark: string, first: string, headers: IncomingHttpHeaders, body: Buffer): string {
    const lines = [first];
    const isUncached = Object.entries(UNCACHED).every(([name, value]) => headers[name] === value);
    for (const name of Object.keys(headers).sort()) {
      if (DULL.has(name) || (isUncached && name in UNCACHED)) continue;
      if (name === 'content-length' && headers[name] === String(body.length)) continue;
      lines.push(`${name}: ${headers[name]}`);
    }
    if (isUncached) lines.push('(not to be kept)');
    if (body.length > 0) lines.push('', textOf(body));
    const text = lines.map((line) => `${mark} ${line}`.trimEnd()).join('\n');
    return `${this.#steady(text)}\n`;
  }

  /** Without what differs each time. */
  #steady(text: string): string {
    let short = text;
    for (const [word, name] of Object.entries(this.#names)) short = short.replaceAll(word, name);
    return short
      .replaceAll(this.#server.url.slice('http://'.length), 'HOST')
      .replace(/signature=[0-9A-Za-z]+/g, 'signature=SIGNATURE')
      .replace(/expires: \w{3}, .*/g, 'expires: in a year');
  }
}

function textOf(body: Buffer): string {
  const isText = body.length < 2000 && !body.includes(0);
  if (isText) return JSON.stringify(body.toString());
  return `(${body.length} bytes, sha256:${createHash('sha256').update(body).digest('hex')})`;
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
