import type { Server, Socket } from 'node:net';
import type { Config } from './config/config.ts';
import { ConfigError } from './config/findings.ts';
import type { LoadedConfig } from './config/load.ts';
import type { ListenAddress } from './config/scalars.ts';
import type { DebugSources } from './debug-listener.ts';
import { listen, listeningAddress } from './listen.ts';
import type { ProcessLogger } from './log.ts';
import { WorkerBoard } from './metrics/worker-board.ts';
import { profile } from './profile.ts';
import { HttpServer } from './server.ts';
import { openService, reopenAll, type Service } from './service.ts';
import { type Inheritance, inheritedSocket } from './workers/succession.ts';

/** One process that listens and serves: what a laptop, a test or a small host needs. */
export class SingleProcess {
  readonly #log: ProcessLogger;
  readonly #reload: () => LoadedConfig;
  readonly #listener: Server;
  readonly #board = new WorkerBoard<Running>();
  readonly #listenedFor: ListenAddress;
  #current: Running;
  #config: Config;
  #reloading: Promise<void> = Promise.resolve();

  private constructor(
    config: Config,
    log: ProcessLogger,
    reload: () => LoadedConfig,
    listener: Server,
    current: Running,
  ) {
    this.#config = config;
    this.#listenedFor = config.http.listen;
    this.#log = log;
    this.#reload = reload;
    this.#listener = listener;
    this.#current = current;
  }

  /** Listens, then opens the store. Throws a ListenError, or what the store says. */
  static async start(
    config: Config,
    log: ProcessLogger,
    reload: () => LoadedConfig,
  ): Promise<SingleProcess> {
    let self: SingleProcess | undefined;
    const early: Socket[] = [];
    const accept = (socket: Socket) => {
      if (self === undefined) early.push(socket);
      else self.#current.server.accept(socket);
    };
    const inherited = await inheritedSocket(config.http.listen);
    const listener = await listen(config.http.listen, accept, { inherited });
    try {
      self = new SingleProcess(config, log, reload, listener, await run(config, log));
    } catch (error) {
      listener.close();
      for (const socket of early) socket.destroy();
      throw error;
    }
    for (const socket of early) self.#current.server.accept(socket);
    return self;
  }

  get address(): ListenAddress {
    return listeningAddress(this.#listener);
  }

  get complete(): Promise<void> {
    return Promise.resolve();
  }

  get inheritance(): Inheritance {
    return { server: this.#listener, configured: this.#listenedFor };
  }

  /** What the debug listener shows. */
  get debug(): DebugSources {
    const report = async () => {
      this.#board.update(this.#current, await this.#current.service.report());
      return this.#board;
    };
    return {
      metrics: async () => (await report()).metrics(),
      failing: async () => (await report()).failing(),
      vars: async () => ({ pid: process.pid, ...(await report()).vars() }),
      profile: (pid, wanted) =>
        pid === undefined || pid === process.pid ? profile(wanted) : undefined,
    };
  }

  addWorker(): void {
    this.#log.warn('this is one process without workers; set GUNICORN_WORKERS to 2 or more');
  }

  removeWorker(): void {
    this.addWorker();
  }

  /** HUP: reads the configuration again and serves new connections by it, while the old ones end. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reloadNow());
    return this.#reloading;
  }

  reopenLogs(): void {
    reopenAll(this.#log, this.#current.service);
  }

  async stop(seconds: number): Promise<void> {
    this.#listener.close();
    await leave(this.#current, seconds, this.#log);
  }

  async #reloadNow(): Promise<void> {
    try {
      const { config, warnings } = this.#reload();
      for (const { path, message } of warnings) this.#log.warn(message, { setting: path });
      const next = await run(config, this.#log);
      const old = this.#current;
      this.#warnOfFixed(config);
      this.#current = next;
      this.#config = config;
      this.#log.info('configuration reloaded');
      this.#leaveOld(old, config.http.drainSeconds).catch((error: unknown) => {
        this.#log.error('the old configuration did not end cleanly', { error });
      });
    } catch (error) {
      const reason = error instanceof ConfigError ? error.message : String(error);
      this.#log.error('configuration not reloaded; the old one stays', { reason });
    }
  }

  async #leaveOld(old: Running, seconds: number): Promise<void> {
    await leave(old, seconds, this.#log);
    this.#board.update(old, await old.service.report());
    this.#board.retire(old);
  }

  #warnOfFixed(config: Config): void {
    const fixed = (of: Config) =>
      JSON.stringify([of.http.listen, of.workers, of.log.file, of.log.level]);
    if (fixed(config) !== fixed(this.#config)) {
      this.#log.warn(
        'a changed address, number of workers or log takes effect with the next start only',
      );
    }
  }
}

interface Running {
  server: HttpServer;
  service: Service;
}

async function run(config: Config, log: ProcessLogger): Promise<Running> {
  const service = await openService(config, log);
  try {
    const { handler, certificates } = service;
    return { service, server: new HttpServer(config.http, handler, log, certificates) };
  } catch (error) {
    await service.close();
    throw error;
  }
}

async function leave(
  { server, service }: Running,
  seconds: number,
  log: ProcessLogger,
): Promise<void> {
  const finished = await server.drain(seconds);
  if (!finished) log.warn('requests were cut off, the graceful timeout was over', { seconds });
  await service.close();
}
