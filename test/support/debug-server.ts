import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChildServer, startIsthmus } from './child-server.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { request } from './http-client.ts';

/** A registry as a process of its own, with its debug listener on another port. */
export interface DebugServer {
  server: ChildServer;
  debugUrl: string;
  /** A folder that goes with the server. */
  folder: string;
  /** The value of a metric, given as it stands in the text with its labels; undefined when it is not there. */
  metric(name: string): Promise<number | undefined>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again over the same store. */
  restart(): Promise<void>;
  end(): Promise<void>;
}

/** Starts a registry whose configuration is distribution's, with `lines` added. `FOLDER` in them is the folder. */
export async function startDebugServer(lines: string, workers = 1): Promise<DebugServer> {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-debug-'));
  const debugPort = await freePort();
  const port = await freePort();
  const config = join(folder, 'config.yml');
  const text = `version: 0.1
storage:
  filesystem: { rootdirectory: FOLDER/store }
http:
  addr: 127.0.0.1:${port}
  debug: { addr: '127.0.0.1:${debugPort}', prometheus: { enabled: true } }
workers: ${workers}
${lines}
`;
  await writeFile(config, text.replaceAll('FOLDER', folder));
  const env = { REGISTRY_HOST: '', REGISTRY_PORT: '', STORAGE_PATH: '' };
  const debugUrl = `http://127.0.0.1:${debugPort}`;
  const start = async () => {
    const server = await startIsthmus({ storage: '', port, args: [config], env });
    // The debug listener opens once there is something to show.
    await eventually(
      () => request(`${debugUrl}/debug/health`).catch(() => undefined),
      'the debug listener',
    );
    return server;
  };
  const self: DebugServer = {
    server: await start(),
    debugUrl,
    folder,
    async metric(name) {
      const text = (await request(`${debugUrl}/metrics`)).body.toString();
      const line = text.split('\n').find((each) => each.startsWith(`${name} `));
      return line === undefined ? undefined : Number(line.slice(name.length + 1));
    },
    stop: (signal) => self.server.stop(signal),
    async restart() {
      self.server = await start();
    },
    async end() {
      await self.server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return self;
}
