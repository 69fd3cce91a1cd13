import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type RunningServer, serve } from './app-server.ts';

/** docker's old Hub, as far as a registry that is not standalone and its engines need it (v1.md 1.2, 1.8, 2.2). */
export class FakeIndex {
  /** Image IDs of each repository, as engines announced them. */
  readonly lists = new Map<string, Set<string>>();
  /** Where engines are sent, `host:port`. */
  registry = '';
  /** How often a registry asked about a token. */
  checks = 0;
  readonly #tokens = new Map<string, string>();
  readonly #server: RunningServer;

  private constructor(server: RunningServer) {
    this.#server = server;
  }

  static async start(): Promise<FakeIndex> {
    let self: FakeIndex | undefined;
    const server = await serve((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => self?.answer(request, response, Buffer.concat(chunks)));
    });
    self = new FakeIndex(server);
    return self;
  }

  get url(): string {
    return this.#server.url;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** A token as the index hands it out. */
  token(repository: string, access: string): string {
    const signature = randomBytes(8).toString('hex').toUpperCase();
    this.#tokens.set(signature, repository);
    return `signature=${signature},repository="${repository}",access=${access}`;
  }

  answer(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const { url = '', method = 'GET', headers } = request;
    response.setHeader('X-Docker-Registry-Version', '0.6.8');
    if (url === '/v1/_ping') return void response.end('true');
    const name = /^\/v1\/repositories\/([^/]+\/[^/]+)\/(images)?$/.exec(url)?.[1];
    if (name === undefined) return void response.writeHead(404).end();
    const { authorization = '' } = headers;
    if (/^token/i.test(authorization)) this.#check(name, authorization, response);
    else if (method === 'PUT') {
      if (!/^Basic (?!Og==)/.test(authorization)) return void response.writeHead(401).end();
      const list = this.lists.get(name) ?? new Set();
      for (const { id } of JSON.parse(body.toString()) as { id: string }[]) list.add(id);
      this.lists.set(name, list);
      this.#session(response, name, 'write', url.endsWith('/images') ? 204 : 200);
    } else if (this.lists.has(name)) this.#session(response, name, 'read', 200);
    else response.writeHead(404).end();
  }

  #session(response: ServerResponse, name: string, access: string, status: number): void {
    response.setHeader('X-Docker-Token', this.token(name, access));
    response.setHeader('X-Docker-Endpoints', this.registry);
    response.writeHead(status).end(status === 204 ? undefined : this.#listOf(name));
  }

  #check(name: string, authorization: string, response: ServerResponse): void {
    this.checks += 1;
    const signature = /signature=([0-9A-F]+)/.exec(authorization)?.[1] ?? '';
    if (this.#tokens.get(signature) !== name) response.writeHead(401).end();
    else response.end(this.#listOf(name));
  }

  #listOf(name: string): string {
    return JSON.stringify([...(this.lists.get(name) ?? [])].map((id) => ({ id })));
  }
}
