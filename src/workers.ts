import { writeFileSync } from 'node:fs';
import type { Config } from './config/config.ts';
import type { LoadedConfig } from './config/load.ts';
import type { ListenAddress } from './config/scalars.ts';
import type { DebugSources } from './debug-listener.ts';
import type { ProcessLogger } from './log.ts';
import { becomesAnother, warnOfUselessUser } from './privileges.ts';
import { type Inheritance, Succession, tellPredecessor } from './workers/succession.ts';

/** INT stops fast, and yet not in the middle of a small answer. */
const FAST_STOP_SECONDS = 2;

/** What signals are turned into; one process and a master with workers both are one. */
export interface Supervised {
  readonly address: ListenAddress;
  readonly debug: DebugSources;
  /** Settles when all that are to serve do so, or are known to fail; it serves before that. */
  readonly complete: Promise<void>;
  /** What a successor takes over. */
  readonly inheritance: Inheritance;
  addWorker(): void;
  removeWorker(): void;
  reload(): Promise<void>;
  reopenLogs(): void;
  stop(seconds: number): Promise<void>;
}

/**
 * Serves until a signal says to stop, in this process or in as many workers as configured. `onReady` hears where.
 * Gives when everything has stopped; throws when it could not start.
 */
export async function superviseUntilStopped(
  config: Config,
  log: ProcessLogger,
  reload: () => LoadedConfig,
  onReady: (address: ListenAddress) => void,
): Promise<void> {
  warnOfUselessUser(config.workers, log);
  // Only a master stays root, and so can open addresses and log files again.
  const alone = config.workers.count === 1 && !becomesAnother(config.workers);
  const supervised: Supervised = await (await kindOf(alone)).start(config, log, reload);
  const openDebug = async () => {
    if (config.http.debug === undefined) return undefined;
    const { openDebugListener } = await import('./debug-listener.ts');
    return openDebugListener(config.http.debug, supervised.debug, log);
  };
  let debug = await openDebug();
  const { pidFile } = config.workers;
  if (pidFile !== undefined) writeFileSync(pidFile, `${process.pid}\n`);
  const succession = new Succession(config, log);
  process.on('SIGUSR2', () => {
    const obstacle = succession.obstacle(config, supervised.inheritance);
    if (obstacle !== undefined) {
      log.warn('no successor is started', { reason: obstacle });
      return;
    }
    debug?.close();
    succession.start(supervised.inheritance, () => {
      openDebug().then(
        (opened) => {
          debug = opened;
        },
        (error: unknown) => log.error('debug listener not opened again', { error }),
      );
    });
  });
  const stopped = stopSignal(supervised, config, log);
  void supervised.complete.then(() => {
    onReady(supervised.address);
    tellPredecessor();
  });
  await stopped;
  debug?.close();
  succession.dropPidFile();
}

/** A master serves nothing itself, and so comes without what serves; a start waits for either. */
async function kindOf(alone: boolean) {
  return alone
    ? (await import('./single-process.ts')).SingleProcess
    : (await import('./workers/master.ts')).Master;
}

/** Obeys signals as gunicorn does (v1.md 4.4), and resolves when the one that stops has been obeyed. */
function stopSignal(supervised: Supervised, config: Config, log: ProcessLogger): Promise<void> {
  process.on('SIGTTIN', () => supervised.addWorker());
  process.on('SIGTTOU', () => supervised.removeWorker());
  process.on('SIGUSR1', () => supervised.reopenLogs());
  process.on('SIGHUP', () => void supervised.reload());
  return new Promise((resolve) => {
    let stopping = false;
    const stop = (signal: string, seconds: number) => {
      // Who asks again, means at once.
      if (stopping && signal !== 'SIGTERM') process.exit(130);
      if (stopping) return;
      stopping = true;
      log.info('stopping', { signal, gracefulSeconds: seconds });
      supervised.stop(seconds).then(resolve, (error: unknown) => {
        log.error('did not stop cleanly', { error });
        resolve();
      });
    };
    process.on('SIGTERM', () => stop('SIGTERM', config.http.drainSeconds));
    process.on('SIGINT', () =>
      stop('SIGINT', Math.min(FAST_STOP_SECONDS, config.http.drainSeconds)),
    );
    process.on('SIGQUIT', () => stop('SIGQUIT', 0));
  });
}
