import { hostname } from 'node:os';
import type { Logger } from '../../protocols/registry.ts';
import type { Config } from '../config/config.ts';
import { version } from '../version.ts';
import { openMailer } from './mailer.ts';
import { postTo } from './post.ts';

/** What is told of an error. */
export interface ErrorReport {
  service: 'isthmus';
  version: string;
  host: string;
  pid: number;
  /** RFC 3339. */
  time: string;
  event: string;
  fields: Record<string, unknown>;
  /** Errors since the last report that nothing was told of. */
  untold: number;
}

/** Brings a report to somebody; a failure is logged. */
export type Delivery = (report: ErrorReport) => Promise<void>;

/** The least time between two reports. */
const PAUSE_MS = 5 * 60_000;
/** How long the end of the process waits for reports under way. */
const CLOSE_MS = 2000;

/**
 * Tells operators of errors that are our own fault (docker-registry's `email_exceptions`): the first at once, then no
 * more than one report in five minutes, which says how many errors there were. Nothing ever waits for one.
 */
export class ErrorReports {
  readonly #deliveries: readonly Delivery[];
  readonly #log: Logger;
  readonly #pauseMs: number;
  readonly #underWay = new Set<Promise<void>>();
  #pause: NodeJS.Timeout | undefined;
  #last: ErrorReport | undefined;
  #untold = 0;

  constructor(deliveries: readonly Delivery[], log: Logger, pauseMs = PAUSE_MS) {
    this.#deliveries = deliveries;
    this.#log = log;
    this.#pauseMs = pauseMs;
  }

  /** Those that the settings ask for, if any. Throws when the package that sends mail is not installed. */
  static async open(config: Config, log: Logger): Promise<ErrorReports | undefined> {
    const deliveries: Delivery[] = [];
    if (config.mail) deliveries.push(await openMailer(config.mail));
    if (config.errorWebhook !== undefined) deliveries.push(postTo(config.errorWebhook));
    return deliveries.length > 0 ? new ErrorReports(deliveries, log) : undefined;
  }

  /** The same logger, whose errors are reported as well. */
  watching(log: Logger): Logger {
    return {
      debug: (event, fields) => log.debug(event, fields),
      info: (event, fields) => log.info(event, fields),
      warn: (event, fields) => log.warn(event, fields),
      error: (event, fields) => {
        log.error(event, fields);
        this.report(event, fields);
      },
    };
  }

  report(event: string, fields: Record<string, unknown> = {}): void {
    const report: ErrorReport = {
      service: 'isthmus',
      version: version(),
      host: hostname(),
      pid: process.pid,
      time: new Date().toISOString(),
      event,
      fields,
      untold: 0,
    };
    if (this.#pause === undefined) {
      this.#send(report);
    } else {
      this.#last = report;
      this.#untold += 1;
    }
  }

  /** Gives reports under way a moment to arrive. */
  async close(): Promise<void> {
    clearTimeout(this.#pause);
    if (this.#underWay.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([Promise.all(this.#underWay), limit]);
    clearTimeout(timer);
  }

  #send(report: ErrorReport): void {
    this.#pause = setTimeout(() => this.#resume(), this.#pauseMs);
    this.#pause.unref();
    for (const deliver of this.#deliveries) {
      const delivery = deliver(report)
        .catch((error: unknown) => {
          this.#log.warn('error not reported', { reason: String(error) });
        })
        .finally(() => this.#underWay.delete(delivery));
      this.#underWay.add(delivery);
    }
  }

  /** Tells of the last error of the pause, for all of them. */
  #resume(): void {
    this.#pause = undefined;
    const last = this.#last;
    if (!last) return;
    const untold = this.#untold - 1;
    this.#last = undefined;
    this.#untold = 0;
    this.#send({ ...last, untold });
  }
}
