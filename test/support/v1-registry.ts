import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry, RegistryEvent } from '../../protocols/registry.ts';
import { type AppOptions, createHandler } from '../../src/app.ts';
import { openAccess } from '../../src/open-access.ts';
import { ContentStore } from '../../storage/content-store.ts';
import { checked } from '../../storage/drivers/checked.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';

/** A registry that listens on a free port of 127.0.0.1. */
export interface RunningRegistry {
  url: string;
  port: number;
  registry: Registry;
  /** Everything that was told to the event sink. */
  events: RegistryEvent[];
  /** Lines of the error log. */
  errors: string[];
  close(): Promise<void>;
}

/** Serves an empty registry; `change` may alter any part of it before it starts. */
export async function startRegistry(
  change: (registry: Registry) => void = () => {},
  options: Partial<AppOptions> = {},
): Promise<RunningRegistry> {
  const content = new ContentStore(checked(new MemoryDriver()));
  const events: RegistryEvent[] = [];
  const errors: string[] = [];
  const registry: Registry = {
    content,
    access: openAccess,
    events: { emit: (event) => events.push(event) },
    limits: { manifestBytes: 4 << 20, jsonBytes: 64 << 10, catalogPage: 1000, tagsPage: 1000 },
    urls: { host: undefined, prefix: '', relative: false },
    log: {
      debug() {},
      info() {},
      warn() {},
      error: (event, fields) => errors.push(`${event} ${JSON.stringify(fields)}`),
    },
    readOnly: false,
    deletion: true,
    v1: { endpoints: undefined, standalone: true },
  };
  change(registry);
  const handler = createHandler(registry, { protocols: { v1: true, v2: true }, ...options });
  const server: Server = createServer(handler).listen(0, '127.0.0.1');
  server.requestTimeout = 0;
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    registry,
    events,
    errors,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
