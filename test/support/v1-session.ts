import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type Answer, type Body, header, jsonOf, open } from './http-client.ts';
import type { Engine } from './v1-engine.ts';

/** The registry did something that the engine does not take. */
export class V1Error extends Error {
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(status === undefined ? message : `${message} (HTTP ${status})`);
    this.name = 'V1Error';
    this.status = status;
  }
}

export interface Credentials {
  username: string;
  password: string;
}

export interface Call {
  method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  headers?: Record<string, string>;
  body?: Body;
  signal?: AbortSignal;
}

/** One line for each request of a session, such as `PUT /v1/images/…/json 200`. */
export type Trace = string[];

/**
 * What an engine keeps during one push or pull: the token and the endpoints that the index handed out. Every request
 * goes over a connection of its own.
 */
export class V1Session {
  readonly engine: Engine;
  readonly trace: Trace = [];
  readonly #base: string;
  readonly #credentials: Credentials | undefined;
  #token: string | undefined;
  #endpoint: string | undefined;

  /** `base` is `http://HOST:PORT`. */
  constructor(base: string, engine: Engine, credentials?: Credentials) {
    this.#base = base.replace(/\/+$/, '');
    this.engine = engine;
    this.#credentials = credentials;
  }

  /** `http://ENDPOINT/v1`, from X-Docker-Endpoints. */
  get endpoint(): string {
    return `${this.#endpoint ?? this.#base}/v1`;
  }

  /** A request with the ping's own agent, and no credentials but those among the headers. */
  ping(path: string, call: Call = {}): Promise<Answer> {
    const headers = { 'user-agent': this.engine.pingAgent, ...call.headers };
    return this.#send(this.#base + path, { ...call, headers });
  }

  /** A request to the index role: `X-Docker-Token: true`, Basic credentials, tokens and endpoints remembered. */
  async index(path: string, call: Call = {}): Promise<Answer> {
    const headers: Record<string, string> = { 'x-docker-token': 'true', ...call.headers };
    const basic = this.#basic(call.method === 'PUT');
    if (basic !== undefined) headers.authorization = basic;
    const answer = await this.#send(this.#base + path, { ...call, headers });
    // A search is the end: nobody looks where it would go on.
    if (!path.startsWith('/v1/search')) {
      this.#remember(answer.headers, call.method ?? 'GET', answer.status);
    }
    return answer;
  }

  /** A request to the registry role, with the token; the whole answer. */
  registry(path: string, call: Call = {}): Promise<Answer> {
    return this.#send(this.endpoint + path, { ...call, headers: this.#withToken(call.headers) });
  }

  /** The same, with the body left to the caller. Redirects are followed without credentials, as engines do. */
  async stream(path: string, call: Call = {}): Promise<IncomingMessage> {
    let url = this.endpoint + path;
    let headers = this.#withToken(call.headers);
    for (let hops = 0; hops < 10; hops += 1) {
      const incoming = await this.#open(url, { ...call, headers });
      const location = header(incoming.headers, 'location');
      const status = incoming.statusCode ?? 0;
      if (status < 300 || status >= 400 || location === undefined) return incoming;
      incoming.resume();
      url = new URL(location, url).href;
      headers = { ...call.headers };
    }
    throw new V1Error(`more than 10 redirects from ${path}`);
  }

  #basic(put: boolean): string | undefined {
    if (this.#credentials !== undefined) return basicOf(this.#credentials);
    return put && this.engine.emptyCredentials ? 'Basic Og==' : undefined;
  }

  #withToken(headers: Record<string, string> = {}): Record<string, string> {
    if (this.#token !== undefined) return { ...headers, authorization: `Token ${this.#token}` };
    return this.engine.emptyCredentials ? { ...headers, authorization: 'Token ' } : headers;
  }

  #remember(headers: IncomingHttpHeaders, method: string, status: number): void {
    if (status >= 300) return;
    const token = header(headers, 'x-docker-token');
    if (token !== undefined) this.#token = token;
    else if (method === 'PUT' && this.engine.needsToken) {
      throw new V1Error('Index response did not contain an access token', status);
    }
    const endpoints = header(headers, 'x-docker-endpoints');
    if (endpoints !== undefined) {
      const host = endpoints.split(',')[0]?.trim() ?? '';
      if (!/^[A-Za-z0-9.[\]:-]+$/.test(host)) {
        throw new V1Error(`X-Docker-Endpoints is not a host: ${endpoints}`);
      }
      this.#endpoint = `http://${host}`;
    } else if (method === 'PUT' || this.engine.ancient) {
      throw new V1Error('Index response did not contain any endpoints', status);
    }
  }

  async #send(url: string, call: Call): Promise<Answer> {
    const incoming = await this.#open(url, call);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, body };
  }

  async #open(url: string, call: Call): Promise<IncomingMessage> {
    const method = call.method ?? 'GET';
    const path = new URL(url).pathname;
    const incoming = await open(url, {
      ...call,
      headers: {
        'user-agent': this.engine.userAgent,
        'accept-encoding': 'gzip',
        ...call.headers,
      },
    });
    this.trace.push(`${method} ${path} ${incoming.statusCode}`);
    if (path.startsWith('/v1/')) refuseForeignHeaders(incoming, `${method} ${path}`);
    return incoming;
  }
}

/** No V1 answer may look like V2, and nothing may be compressed on the way: layers are opaque bytes. */
function refuseForeignHeaders(incoming: IncomingMessage, what: string): void {
  for (const name of ['docker-distribution-api-version', 'content-encoding']) {
    const value = header(incoming.headers, name);
    if (value === undefined) continue;
    incoming.destroy();
    throw new V1Error(`${what} was answered with ${name}: ${value}`);
  }
}

export function basicOf(credentials: Credentials): string {
  const pair = `${credentials.username}:${credentials.password}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Throws unless the status is one of `accepted`; the message carries what the registry said. */
export function expectStatus(answer: Answer, accepted: number[], doing: string): void {
  if (accepted.includes(answer.status)) return;
  throw new V1Error(`${doing}: ${errorTextOf(answer)}`, answer.status);
}

/** `error` of a V1 error body, or the body itself. */
export function errorTextOf(answer: Answer): string {
  try {
    return jsonOf<{ error?: string }>(answer).error ?? answer.body.toString();
  } catch {
    return answer.body.toString('utf8').slice(0, 200);
  }
}
