import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer } from './http-client.ts';
import type { V2Image } from './images.ts';
import { KeepAliveClient } from './keep-alive-client.ts';
import { RegistryProcess, until } from './registry-process.ts';

const WORKERS = 4;
/** Two for each worker. */
const READERS = 8;

/** A master with four workers over files, readers that hold a connection to each of them, and writers. */
export class FourWorkers {
  readonly registry: RegistryProcess;
  readonly readers: readonly KeepAliveClient[];
  readonly #writers: KeepAliveClient[] = [];

  private constructor(registry: RegistryProcess, readers: readonly KeepAliveClient[]) {
    this.registry = registry;
    this.readers = readers;
  }

  /** Starts over an empty store in `folder`; fails unless the readers' connections reach every worker. */
  static async start(folder: string): Promise<FourWorkers> {
    const file = join(folder, 'workers.yml');
    writeFileSync(
      file,
      `test:
  workers: ${WORKERS}
  listen: {host: 127.0.0.1, port: 0}
  loglevel: info
  storage:
    filesystem: {rootdirectory: ${JSON.stringify(join(folder, 'store'))}, fsync: false}
    delete: {enabled: true}
`,
    );
    const registry = await RegistryProcess.start({}, [file]);
    await until(
      'all workers',
      async () => (await registry.workers()).length === WORKERS || undefined,
    );
    const readers: KeepAliveClient[] = [];
    for (let at = 0; at < READERS; at += 1) {
      const reader = new KeepAliveClient(registry.port, `reader-${at}`);
      await reader.ask('GET', '/v2/');
      readers.push(reader);
    }
    const cluster = new FourWorkers(registry, readers);
    await until('an answer of every worker', () => cluster.#reached().size === WORKERS);
    return cluster;
  }

  /** The workers that answered readers, by what the access log says. */
  #reached(): Set<string> {
    const lines = this.registry.requests();
    const ofReaders = lines.filter(({ userAgent }) => /^reader-/.test(String(userAgent)));
    return new Set(ofReaders.map(({ requestId }) => String(requestId).split('-')[0] ?? ''));
  }

  /** A connection of its own for someone who writes. */
  writer(name: string): KeepAliveClient {
    const writer = new KeepAliveClient(this.registry.port, name);
    this.#writers.push(writer);
    return writer;
  }

  /** Has every reader look at once. */
  async everyone(look: (reader: KeepAliveClient) => Promise<void>): Promise<void> {
    await Promise.all(this.readers.map(look));
  }

  async stop(): Promise<void> {
    for (const client of [...this.readers, ...this.#writers]) client.close();
    await this.registry.stop();
  }
}

/** The same writes as a docker client makes, each checked. */
export class Writer {
  readonly #clients: readonly KeepAliveClient[];
  #turn = 0;

  /** Writes alternate between the connections, and so between workers. */
  constructor(clients: readonly KeepAliveClient[]) {
    this.#clients = clients;
  }

  async write(
    statuses: number[],
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body: Buffer | string = '',
  ): Promise<Answer> {
    const client = this.#clients[this.#turn++ % this.#clients.length] as KeepAliveClient;
    const answer = await client.ask(method, path, headers, body);
    const said = `${method} ${path}: ${answer.status} ${answer.body.toString().slice(0, 300)}`;
    assert.ok(statuses.includes(answer.status), said);
    return answer;
  }

  async blob(name: string, digest: string, bytes: Buffer): Promise<void> {
    const { headers } = await this.write([202], 'POST', `/v2/${name}/blobs/uploads/`);
    const location = String(headers.location);
    const join = location.includes('?') ? '&' : '?';
    await this.write([201], 'PUT', `${location}${join}digest=${digest}`, {}, bytes);
  }

  async blobs(name: string, image: V2Image): Promise<void> {
    for (const [digest, bytes] of image.blobs) await this.blob(name, digest, bytes);
  }

  async manifest(
    name: string,
    reference: string,
    { manifest, mediaType }: Pick<V2Image, 'manifest' | 'mediaType'>,
  ): Promise<void> {
    const path = `/v2/${name}/manifests/${reference}`;
    await this.write([201], 'PUT', path, { 'content-type': mediaType }, manifest);
  }
}
