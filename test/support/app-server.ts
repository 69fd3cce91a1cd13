import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from '../../protocols/registry.ts';
import { type AppOptions, createHandler } from '../../src/app.ts';
import { openAccess } from '../../src/open-access.ts';
import { ContentStore } from '../../storage/content-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { collectingLog } from './collecting-log.ts';

/** A server on a free port of 127.0.0.1 in this process. */
export interface RunningServer {
  url: string;
  server: Server;
  stop(): Promise<void>;
}

export async function serve(handler: RequestListener): Promise<RunningServer> {
  const server = createServer({ requestTimeout: 0 }, handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The whole application over `driver`, without accounts. */
export function serveApp(
  driver: StorageDriver,
  options: Partial<AppOptions> = {},
  registry: Partial<Registry> = {},
): Promise<RunningServer> {
  const handler = createHandler(
    {
      content: new ContentStore(driver),
      access: openAccess,
      events: { emit: () => {} },
      limits: { manifestBytes: 4 << 20, jsonBytes: 1 << 20, catalogPage: 1000, tagsPage: 1000 },
      urls: { host: undefined, prefix: '', relative: false },
      log: collectingLog(),
      readOnly: false,
      deletion: true,
      v1: { endpoints: undefined, standalone: true },
      ...registry,
    },
    { protocols: { v1: true, v2: true }, ...options },
  );
  const answer = handler;
  return serve((request, response) => void answer(request, response));
}
