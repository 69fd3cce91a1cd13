import { setTimeout } from 'node:timers/promises';
import type { Logger } from '../protocols/registry.ts';
import type { StorageDriver } from '../storage/driver.ts';
import type { HealthConfig } from './config/services.ts';
import {
  checkFileAbsent,
  checkHttp,
  checkStorage,
  checkTcp,
  checkWritable,
  storageFix,
} from './health-checks.ts';

/** One thing that is looked at again and again. */
interface Check {
  name: string;
  intervalSeconds: number;
  /** Failures in a row until the registry counts as ill; one success heals. */
  threshold: number;
  /** Throws when it fails. */
  run(): Promise<void>;
}

/** How often it is tried whether the storage takes writes. */
const WRITE_PROBE_SECONDS = 30;
/** An answer about the storage that was asked for is good for so long. */
const ASKED_MS = 1000;

export interface HealthOptions {
  /** No writes are tried on a registry that takes none. */
  readOnly?: boolean;
}

/**
 * Whether this registry can serve (v2.md 5.6). Checks run in the background at their intervals, so that asking costs
 * nothing. That the storage takes no writes is told, but makes nobody ill: pulls go on.
 */
export class Health {
  readonly #log: Logger;
  readonly #driver: StorageDriver;
  readonly #checks: Check[];
  readonly #takesWrites: boolean;
  readonly #writeProbe: boolean;
  readonly #failing = new Map<string, string>();
  readonly #stop = new AbortController();
  #asked: { at: number; answer: Promise<string | undefined> } | undefined;
  /** Why writes fail; undefined while they work, or when nobody tried. */
  unwritable: string | undefined;

  constructor(
    config: HealthConfig,
    driver: StorageDriver,
    log: Logger,
    options: HealthOptions = {},
  ) {
    this.#log = log;
    this.#driver = driver;
    this.#checks = checksOf(config, driver);
    this.#takesWrites = options.readOnly !== true;
    this.#writeProbe = config.storageIntervalSeconds !== undefined && this.#takesWrites;
  }

  /**
   * Begins to look. The first look of each check comes at once. Whether the storage takes writes is tried before, always:
   * a folder of another user is what new registries fail of.
   */
  async start(): Promise<void> {
    if (this.#takesWrites) await this.#probeWrite(false);
    for (const check of this.#checks) this.#repeat(check);
    if (this.#writeProbe) this.#probeWrites();
  }

  close(): void {
    this.#stop.abort();
  }

  /** Whether requests should be served: a look at a number. */
  get ill(): boolean {
    return this.#failing.size > 0;
  }

  /** The failing checks and their reasons, as `/debug/health` shows them. */
  get failing(): Record<string, string> {
    return Object.fromEntries(this.#failing);
  }

  /**
   * Whether traffic should be sent here: no check fails, and the storage answers now. Gives the failing checks, none
   * when all is well.
   */
  async readiness(): Promise<Record<string, string>> {
    const now = Date.now();
    if (this.#asked === undefined || now - this.#asked.at > ASKED_MS) {
      const answer = checkStorage(this.#driver).then(
        () => undefined,
        (error: Error) => error.message,
      );
      this.#asked = { at: now, answer };
    }
    const reason = await this.#asked.answer;
    return reason === undefined ? this.failing : { ...this.failing, storage: reason };
  }

  #repeat(check: Check): void {
    let failures = 0;
    const look = async () => {
      try {
        await check.run();
        failures = 0;
        if (this.#failing.delete(check.name))
          this.#log.info('healthy again', { check: check.name });
      } catch (error) {
        failures += 1;
        if (failures >= check.threshold) this.#fail(check.name, (error as Error).message);
      }
    };
    void this.#every(check.intervalSeconds, look);
  }

  #fail(name: string, reason: string): void {
    if (!this.#failing.has(name)) this.#log.error('unhealthy', { check: name, reason });
    this.#failing.set(name, reason);
  }

  #probeWrites(): void {
    void this.#every(WRITE_PROBE_SECONDS, () => this.#probeWrite(true), true);
  }

  async #probeWrite(durable: boolean): Promise<void> {
    const error = await checkWritable(this.#driver, durable).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    const reason = error?.message;
    if (reason !== undefined && this.unwritable === undefined)
      this.#log.error('the storage takes no writes', { reason, fix: storageFix(error) });
    if (reason === undefined && this.unwritable !== undefined)
      this.#log.info('the storage takes writes again');
    this.unwritable = reason;
  }

  /** Runs `look` now and then, never twice at a time; for the first time at once, or `later`. */
  async #every(seconds: number, look: () => Promise<void>, later = false): Promise<void> {
    const { signal } = this.#stop;
    for (let first = true; !signal.aborted; first = false) {
      if (!first || !later) await look();
      await setTimeout(seconds * 1000, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}

function checksOf(config: HealthConfig, driver: StorageDriver): Check[] {
  const checks: Check[] = [
    ...config.files.map(({ file, intervalSeconds }) => ({
      name: file,
      intervalSeconds,
      threshold: 1,
      run: () => checkFileAbsent(file),
    })),
    ...config.http.map((each) => ({ ...each, name: each.uri, run: () => checkHttp(each) })),
    ...config.tcp.map((each) => ({ ...each, name: each.address, run: () => checkTcp(each) })),
  ];
  if (config.storageIntervalSeconds !== undefined) {
    checks.push({
      name: `storagedriver_${driver.name}`,
      intervalSeconds: config.storageIntervalSeconds,
      threshold: config.storageThreshold,
      run: () => checkStorage(driver),
    });
  }
  return checks;
}
