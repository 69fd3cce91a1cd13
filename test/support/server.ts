import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { Limits, Registry, RegistryEvent, UrlPolicy } from '../../protocols/registry.ts';
import { createHandler } from '../../src/app.ts';
import { answerClientErrors, SERVER_OPTIONS } from '../../src/client-error.ts';
import { openAccess } from '../../src/open-access.ts';
import { ContentStore, type ContentStoreOptions } from '../../storage/content-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { checked } from '../../storage/drivers/checked.ts';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';

export interface TestServerOptions extends Partial<Omit<Registry, 'content' | 'limits' | 'urls'>> {
  /** Where content lies: in memory (the default), in a temporary directory, or in a driver of the test's own. */
  storage?: 'memory' | 'filesystem' | StorageDriver;
  content?: ContentStoreOptions;
  limits?: Partial<Limits>;
  urls?: Partial<UrlPolicy>;
  protocols?: { v1: boolean; v2: boolean };
}

/** A registry that listens on a free port of 127.0.0.1, in this process. */
export interface TestServer {
  readonly port: number;
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly driver: StorageDriver;
  readonly content: ContentStore;
  /** Everything that the registry told its event sink. */
  readonly events: RegistryEvent[];
  /** What was logged as an error: a test that provokes none should find this empty. */
  readonly failures: unknown[];
  close(): Promise<void>;
}

/** Starts a registry; the caller closes it. */
export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { driver, dispose } = await openDriver(options.storage ?? 'memory');
  const content = new ContentStore(driver, options.content);
  const events: RegistryEvent[] = [];
  const failures: unknown[] = [];
  const { storage: _, content: __, protocols, limits, urls, ...rest } = options;
  const registry: Registry = {
    content,
    access: openAccess,
    events: { emit: (event) => events.push(event) },
    limits: {
      manifestBytes: 4 << 20,
      jsonBytes: 1 << 20,
      catalogPage: 1000,
      tagsPage: 1000,
      ...limits,
    },
    urls: { host: undefined, prefix: '', relative: false, ...urls },
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (event, fields) => failures.push({ event, ...fields }),
    },
    readOnly: false,
    deletion: true,
    v1: { endpoints: undefined, standalone: true },
    ...rest,
  };
  const handler = createHandler(registry, { protocols: protocols ?? { v1: true, v2: true } });
  const server = createServer({ ...SERVER_OPTIONS, requestTimeout: 0 }, handler);
  answerClientErrors(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    driver,
    content,
    events,
    failures,
    async close() {
      server.close();
      server.closeAllConnections();
      await content.close();
      await dispose();
    },
  };
}

/** A registry for the tests of the `describe` that calls this: started before the first, closed after the last. */
export function useServer(options: TestServerOptions = {}): TestServer {
  let server: TestServer | undefined;
  before(async () => {
    server = await startServer(options);
  });
  after(() => server?.close());
  const running = (): TestServer => {
    if (!server) throw new Error('the server runs only while the tests do');
    return server;
  };
  return {
    get port() {
      return running().port;
    },
    get host() {
      return running().host;
    },
    get url() {
      return running().url;
    },
    get driver() {
      return running().driver;
    },
    get content() {
      return running().content;
    },
    get events() {
      return running().events;
    },
    get failures() {
      return running().failures;
    },
    close: () => running().close(),
  };
}

async function openDriver(
  storage: 'memory' | 'filesystem' | StorageDriver,
): Promise<{ driver: StorageDriver; dispose: () => Promise<void> }> {
  if (typeof storage === 'object') return { driver: storage, dispose: async () => undefined };
  if (storage === 'memory') {
    return { driver: checked(new MemoryDriver()), dispose: async () => undefined };
  }
  const root = await mkdtemp(join(tmpdir(), 'isthmus-'));
  return {
    driver: checked(new FilesystemDriver({ root, fsync: false })),
    dispose: () => rm(root, { recursive: true, force: true }),
  };
}
