import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from './server-process.ts';

/** What this registry is called among those that are measured. */
export const OURS = 'isthmus';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
/** Below the ports that systems give to outgoing connections. */
const FIRST_PORT = 21_000;
const PORTS = 8000;

export interface OwnServer {
  url: string;
  process: ServerProcess;
  /** Removes its store; to be called when it has stopped. */
  remove(): void;
}

interface OwnOptions {
  workers: number;
  fsync: boolean;
  /** Variables that go before all others. */
  env?: Record<string, string>;
}

/** This registry as it is run in production, over an empty store of its own below `folder`. */
export async function ownServer(
  folder: string,
  { workers, fsync, env }: OwnOptions,
): Promise<OwnServer> {
  const store = mkdtempSync(join(folder, 'isthmus-bench-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    process: new ServerProcess(OURS, `'${process.execPath}' '${MAIN}' serve`, url, {
      SETTINGS_FLAVOR: 'prod',
      STANDALONE: 'true',
      STORAGE_PATH: store,
      REGISTRY_HOST: '127.0.0.1',
      REGISTRY_PORT: String(port),
      GUNICORN_WORKERS: String(workers),
      LOGLEVEL: 'warn',
      REGISTRY_STORAGE_FILESYSTEM_FSYNC: String(fsync),
      ...env,
    }),
    remove: () => rmSync(store, { recursive: true, force: true }),
  };
}

async function freePort(): Promise<number> {
  const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
  const free = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
  return free ? port : freePort();
}
