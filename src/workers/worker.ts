import { Socket } from 'node:net';
import type { Config } from '../config/config.ts';
import { createLogger, type ProcessLogger } from '../log.ts';
import type { Peers } from '../peers.ts';
import { dropPrivileges } from '../privileges.ts';
import { type ProfileRequest, profile } from '../profile.ts';
import { HttpServer } from '../server.ts';
import { openService, reopenAll, type Service } from '../service.ts';
import type { ToMaster, ToWorker } from './messages.ts';
import { WorkerPeers } from './worker-peers.ts';

const BEAT_MS = 1000;

/** Serves the connections that the master sends, until it says to stop, or is gone. */
export function runWorker(): void {
  let worker: Worker | undefined;
  const peers = new WorkerPeers((topic, counts) => tell({ type: 'counts', topic, counts }));
  process.on('message', (message: ToWorker, handle: unknown) => {
    if (message.type === 'start') {
      Worker.start(message.config, peers).then(
        (started) => {
          worker = started;
          tell({ type: 'ready' });
        },
        (error: unknown) => {
          tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
          process.exitCode = 1;
          process.disconnect();
        },
      );
    } else if (message.type === 'connection') {
      takeConnection(worker, message.id, handle);
    } else if (message.type === 'drain') leave(worker, message.seconds);
    else if (message.type === 'profile') makeProfile(message.wanted);
    else if (message.type === 'counts') peers.heard(message.topic, message.counts);
    else if (message.type === 'report') void worker?.report();
    else worker?.reopenLogs();
  });
  // A terminal sends these to the master as well, which then says what is to be done.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGTTIN', 'SIGTTOU'] as const)
    process.on(signal, () => {});
  process.on('SIGUSR1', () => worker?.reopenLogs());
  process.on('SIGTERM', () => leave(worker));
  process.on('disconnect', () => leave(worker));
}

function leave(worker: Worker | undefined, seconds?: number): void {
  if (worker === undefined) process.exit();
  void worker.drain(seconds);
}

function takeConnection(worker: Worker | undefined, id: number, handle: unknown): void {
  const socket = handle instanceof Socket ? handle : undefined;
  if (worker === undefined || worker.leaving) {
    socket?.destroy();
    tell({ type: 'refused', id });
    return;
  }
  tell({ type: 'accepted', id });
  // The client may have gone while the handle was on its way.
  if (socket === undefined) tell({ type: 'closed' });
  else worker.accept(socket);
}

function makeProfile(wanted: ProfileRequest): void {
  profile(wanted).then(
    (file) => tell({ type: 'profiled', file }),
    (error: Error) => tell({ type: 'profiled', failure: error.message }),
  );
}

class Worker {
  readonly #config: Config;
  readonly #log: ProcessLogger;
  readonly #service: Service;
  readonly #server: HttpServer;
  readonly #recycleAfter: number;
  #relieved = false;
  /** Whether it takes no more connections. */
  leaving = false;

  private constructor(config: Config, log: ProcessLogger, service: Service) {
    this.#config = config;
    this.#log = log;
    this.#service = service;
    const { maxRequests, maxRequestsJitter } = config.workers;
    const jitter = Math.floor(Math.random() * (maxRequestsJitter + 1));
    this.#recycleAfter = maxRequests === 0 ? Number.POSITIVE_INFINITY : maxRequests + jitter;
    this.#server = new HttpServer(config.http, service.handler, log, service.certificates);
    setInterval(() => this.#beat(), BEAT_MS).unref();
  }

  static async start(config: Config, peers: Peers): Promise<Worker> {
    const log = createLogger(config.log, { pid: process.pid });
    process.on('exit', () => log.flush());
    dropPrivileges(config.workers);
    return new Worker(config, log, await openService(config, log, peers));
  }

  accept(socket: Socket): void {
    socket.setNoDelay(true);
    socket.once('close', () => {
      tell({ type: 'closed' });
      if (this.#server.served >= this.#recycleAfter) this.#askForRelief();
    });
    this.#server.accept(socket);
  }

  reopenLogs(): void {
    reopenAll(this.#log, this.#service);
  }

  async report(): Promise<void> {
    const report = await this.#service.report();
    if (!process.connected) return;
    await new Promise<void>((resolve) => {
      const message: ToMaster = { type: 'report', report };
      process.send?.(message, undefined, undefined, () => resolve());
    });
  }

  async drain(seconds = this.#config.http.drainSeconds): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    const finished = await this.#server.drain(seconds);
    if (!finished)
      this.#log.warn('requests were cut off, the graceful timeout was over', { seconds });
    await this.#service.close();
    if (this.#config.http.debug !== undefined) await this.report();
    process.exit(0);
  }

  #beat(): void {
    tell({ type: 'beat' });
    if (this.#server.served >= this.#recycleAfter) this.#askForRelief();
  }

  #askForRelief(): void {
    if (this.#relieved) return;
    this.#relieved = true;
    tell({ type: 'recycle' });
  }
}

function tell(message: ToMaster): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
