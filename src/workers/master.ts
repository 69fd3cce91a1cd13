import type { Server, Socket } from 'node:net';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/findings.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { DebugSources } from '../debug-listener.ts';
import { listen, listeningAddress, showAddress } from '../listen.ts';
import type { ProcessLogger } from '../log.ts';
import { WorkerBoard } from '../metrics/worker-board.ts';
import type { Counts, CountTopic } from '../peers.ts';
import { giveLogFiles } from '../privileges.ts';
import { Dispatcher } from './dispatcher.ts';
import { Ledger } from './ledger.ts';
import { type Inheritance, inheritedSocket } from './succession.ts';
import { type WorkerEvents, WorkerProcess } from './worker-process.ts';

const SILENCE_LOOK_MS = 1000;
/** A worker that dies younger than this did not die of its work, so its successor waits. */
const INFANT_MS = 5000;
const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 30_000;
/** A worker that was killed had counted so long at most since its last report. */
const REPORT_MS = 5000;
/** Who looks at metrics or health waits so long for busy workers. */
const REPORT_WAIT_MS = 1000;
/** How much longer than told a worker may take to go, until it is killed. */
const LATENESS_MS = 3000;

/**
 * Holds the listening socket and keeps as many workers alive as configured. Its methods are what gunicorn's signals
 * ask for (v1.md 4.4).
 */
export class Master {
  readonly #reload: () => LoadedConfig;
  readonly #log: ProcessLogger;
  readonly #dispatcher = new Dispatcher();
  readonly #workers = new Set<WorkerProcess>();
  readonly #board = new WorkerBoard<WorkerProcess>();
  readonly #failures = new Ledger();
  readonly #events: WorkerEvents;
  #config: Config;
  #server: Server;
  #target: number;
  #earlyDeaths = 0;
  #stopping = false;
  #rolling: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;
  #complete: Promise<void> = Promise.resolve();

  private constructor(
    config: Config,
    log: ProcessLogger,
    reload: () => LoadedConfig,
    server: Server,
  ) {
    this.#config = config;
    this.#log = log;
    this.#reload = reload;
    this.#server = server;
    this.#target = config.workers.count;
    this.#events = {
      ready: (worker) => this.#dispatcher.add(worker),
      accepted: (worker, id) => this.#dispatcher.confirm(worker, id),
      refused: (worker, id) => this.#dispatcher.refuse(worker, id),
      closed: (worker) => this.#dispatcher.closed(worker),
      recycle: (worker) => void this.#replace(worker),
      // Not at its exit: a confirmation may still be on the way, and two workers must not serve one connection.
      silent: (worker) => this.#dispatcher.remove(worker),
      report: (worker, report) => this.#board.update(worker, report),
      counted: (worker, topic, counts) => this.#passOn(worker, topic, counts),
      exit: (worker) => this.#onExit(worker),
    };
  }

  /** Listens, starts the workers and waits for one of them. Throws a ListenError, or what a worker could not do. */
  static async start(
    config: Config,
    log: ProcessLogger,
    reload: () => LoadedConfig,
  ): Promise<Master> {
    const early: Socket[] = [];
    let master: Master | undefined;
    const accept = (socket: Socket) => {
      if (master === undefined) early.push(socket);
      else master.#dispatcher.dispatch(socket);
    };
    const inherited = await inheritedSocket(config.http.listen);
    const server = await listen(config.http.listen, accept, { paused: true, inherited });
    giveLogFiles(config.workers, config.log);
    master = new Master(config, log, reload, server);
    for (const socket of early) master.#dispatcher.dispatch(socket);
    await master.#startFirst();
    const started = master;
    setInterval(() => started.#killSilent(), SILENCE_LOOK_MS).unref();
    if (config.http.debug !== undefined)
      setInterval(() => void started.#collect(), REPORT_MS).unref();
    return started;
  }

  get address() {
    return listeningAddress(this.#server);
  }

  get complete(): Promise<void> {
    return this.#complete;
  }

  get inheritance(): Inheritance {
    return { server: this.#server, configured: this.#config.http.listen };
  }

  /** What the debug listener shows of all workers together. */
  get debug(): DebugSources {
    return {
      metrics: async () => (await this.#collect()).metrics(),
      failing: async () => this.#failing(await this.#collect()),
      vars: async () => ({
        pid: process.pid,
        workers: this.pids,
        ...(await this.#collect()).vars(),
      }),
      profile: (pid, wanted) => {
        const staying = this.#staying();
        const worker = pid === undefined ? staying[0] : staying.find((each) => each.pid === pid);
        return worker?.profile(wanted);
      },
    };
  }

  get pids(): number[] {
    return [...this.#workers].flatMap((worker) => worker.pid ?? []);
  }

  /** TTIN: one worker more. */
  addWorker(): void {
    if (this.#config.storage.driver.kind === 'memory') {
      this.#log.warn('no worker more: they would not share storage in memory');
      return;
    }
    this.#target += 1;
    this.#log.info('one worker more', { workers: this.#target });
    this.#spawn();
  }

  /** TTOU: one worker less, the oldest; the last one stays. */
  removeWorker(): void {
    const [oldest] = this.#staying();
    if (this.#target === 1 || oldest === undefined) {
      this.#log.warn('the last worker stays; send TERM to stop');
      return;
    }
    this.#target -= 1;
    this.#log.info('one worker less', { workers: this.#target });
    this.#dismiss(oldest, this.#config.http.drainSeconds);
  }

  /** HUP: reads the configuration again and replaces all workers, one by one. What can't be used changes nothing. */
  async reload(): Promise<void> {
    await this.#rolling;
    if (this.#stopping) return;
    this.#rolling = this.#roll();
    await this.#rolling;
  }

  /** USR1: opens log files again. */
  reopenLogs(): void {
    try {
      this.#log.reopen();
    } catch (error) {
      this.#log.error('log file not reopened', { error });
    }
    giveLogFiles(this.#config.workers, this.#config.log);
    for (const worker of this.#workers) worker.reopenLogs();
  }

  /** TERM, INT, QUIT: refuses what comes, gives what runs `seconds` to finish, and resolves when all workers are gone. */
  async stop(seconds: number): Promise<void> {
    this.#stopping = true;
    this.#server.close();
    this.#dispatcher.close();
    for (const worker of this.#workers) this.#dismiss(worker, seconds);
    if (this.#workers.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
  }

  /** Starts one worker alone, since the others would take processors away that it needs until it serves. */
  async #startFirst(): Promise<void> {
    const first = this.#spawn();
    const serves = await first.ready;
    const others = Array.from({ length: this.#target - 1 }, () => this.#spawn());
    const started = Promise.all(others.map((worker) => worker.ready));
    // One that is told to stop meanwhile never gets there.
    this.#complete = started.then(() => (this.#stopping ? new Promise<void>(() => {}) : undefined));
    if (serves || (await started).includes(true)) return;
    const all = [first, ...others];
    const reason =
      all.find((worker) => worker.failure !== undefined)?.failure ?? 'no worker could start';
    await this.stop(0);
    throw new Error(reason);
  }

  async #collect(): Promise<WorkerBoard<WorkerProcess>> {
    await Promise.all([...this.#workers].map((worker) => worker.askForReport(REPORT_WAIT_MS)));
    return this.#board;
  }

  #failing(board: WorkerBoard<WorkerProcess>): Record<string, string> {
    return this.#workers.size === 0 ? { workers: 'no worker runs' } : board.failing();
  }

  #spawn(): WorkerProcess {
    const worker = new WorkerProcess(this.#config, this.#events);
    this.#workers.add(worker);
    worker.tellCounts('failures', this.#failures.recent(Date.now()));
    this.#log.debug('worker started', { worker: worker.pid });
    return worker;
  }

  #passOn(from: WorkerProcess, topic: CountTopic, counts: Counts): void {
    if (topic === 'failures') this.#failures.add(counts, Date.now());
    for (const worker of this.#workers) if (worker !== from) worker.tellCounts(topic, counts);
  }

  #dismiss(worker: WorkerProcess, seconds: number): void {
    this.#dispatcher.retire(worker);
    worker.drain(seconds);
    setTimeout(() => worker.kill(), Math.min(seconds * 1000 + LATENESS_MS, 2 ** 31 - 1)).unref();
  }

  /** Starts a successor and lets `worker` go when it serves. Gives whether it did. */
  async #replace(worker: WorkerProcess): Promise<boolean> {
    if (this.#stopping || worker.leaving) return true;
    const successor = this.#spawn();
    if (!(await successor.ready)) return false;
    this.#dismiss(worker, this.#config.http.drainSeconds);
    return true;
  }

  async #roll(): Promise<void> {
    const before = this.#config;
    const server = this.#server;
    try {
      const { config, warnings } = this.#reload();
      for (const { path, message } of warnings) this.#log.warn(message, { setting: path });
      await this.#listenAnew(config);
      giveLogFiles(config.workers, config.log);
      this.#config = config;
    } catch (error) {
      const message = error instanceof ConfigError ? error.message : String(error);
      this.#log.error('configuration not reloaded; the old one stays', { reason: message });
      return;
    }
    for (const worker of this.#staying()) {
      if (await this.#replace(worker)) continue;
      this.#log.error('a worker with the new configuration did not start; the old ones stay');
      this.#config = before;
      if (this.#server !== server) {
        this.#server.close();
        this.#server = server;
      }
      return;
    }
    if (this.#server !== server) server.close();
    this.#adjust(this.#config.workers.count);
    this.#log.info('configuration reloaded', { workers: this.#target });
  }

  /** Opens another address when the new configuration says so; the old one is closed when all workers are new. */
  async #listenAnew(config: Config): Promise<void> {
    if (JSON.stringify(config.http.listen) === JSON.stringify(this.#config.http.listen)) return;
    const accept = (socket: Socket) => this.#dispatcher.dispatch(socket);
    this.#server = await listen(config.http.listen, accept, { paused: true });
    this.#log.info('listening', { address: showAddress(this.address) });
  }

  #adjust(count: number): void {
    this.#target = count;
    const staying = this.#staying();
    for (const worker of staying.slice(count))
      this.#dismiss(worker, this.#config.http.drainSeconds);
    for (let missing = count - staying.length; missing > 0; missing--) this.#spawn();
  }

  #onExit(worker: WorkerProcess): void {
    this.#workers.delete(worker);
    this.#dispatcher.retire(worker);
    this.#board.retire(worker);
    if (this.#workers.size === 0) this.#onEmpty?.();
    if (this.#stopping || worker.leaving) return;
    const infant = Date.now() - worker.started < INFANT_MS;
    this.#earlyDeaths = infant ? this.#earlyDeaths + 1 : 0;
    // The first successor comes at once, also to one that died young.
    const delay =
      this.#earlyDeaths < 2
        ? 0
        : Math.min(FIRST_BACKOFF_MS * 2 ** (this.#earlyDeaths - 2), MAX_BACKOFF_MS);
    const { pid, outcome, failure } = worker;
    this.#log.error('worker died', { worker: pid, outcome, reason: failure, successorInMs: delay });
    setTimeout(() => {
      if (!this.#stopping && this.#staying().length < this.#target) this.#spawn();
    }, delay);
  }

  #killSilent(): void {
    const limit = this.#config.workers.silentSeconds * 1000;
    for (const worker of this.#workers) {
      if (limit > 0 && worker.silence > limit) {
        this.#log.error('worker killed, it gave no sign of life', {
          worker: worker.pid,
          ms: worker.silence,
        });
        worker.kill();
      }
    }
  }

  #staying(): WorkerProcess[] {
    return [...this.#workers].filter((worker) => !worker.leaving);
  }
}
