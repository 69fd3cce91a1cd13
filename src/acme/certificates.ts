import type { Logger } from '../../protocols/registry.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import type { LetsEncryptConfig } from '../config/http.ts';
import { AcmeClient } from './client.ts';
import { orderCertificate } from './order.ts';
import { AcmeError } from './problem.ts';
import { AcmeRecords, type Failure, type KeptCertificate } from './records.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** While another process fetches, how often to look for what it leaves behind. */
const OTHERS_MS = 2 * SECOND;
/** Records are looked at this often at least: clocks are set, and nodes replaced. */
const LONGEST_LOOK_MS = HOUR;
/** A process that has just started tries again after this, whatever was decided before: perhaps it was mended. */
const RESTART_MS = MINUTE;

/**
 * The certificates of all configured hosts, fetched by ACME and renewed in time. One process at a time talks to the
 * CA, the others take over what it left in the records. A failure is logged and tried again later, ever more seldom;
 * whatever certificate there is stays.
 */
export class AcmeCertificates {
  readonly #config: LetsEncryptConfig;
  readonly #records: AcmeRecords;
  readonly #log: Logger;
  readonly #held = new Map<string, KeptCertificate>();
  /** So that processes which started together don't all renew at one moment. */
  readonly #jitter = Math.random();
  readonly #closing = new AbortController();
  readonly #started = Date.now();
  #onChange: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  private constructor(config: LetsEncryptConfig, records: AcmeRecords, log: Logger) {
    this.#config = config;
    this.#records = records;
    this.#log = log;
  }

  /** Reads the certificates that are there, and begins to fetch the others. Throws when `cachefile` can't be used. */
  static async open(
    config: LetsEncryptConfig,
    driver: StorageDriver,
    log: Logger,
  ): Promise<AcmeCertificates> {
    const { cacheFolder } = config;
    const records =
      cacheFolder === undefined ? AcmeRecords.inStore(driver) : AcmeRecords.inFolder(cacheFolder);
    const self = new AcmeCertificates(config, records, log);
    await self.#takeOver();
    self.#lookIn(0);
    return self;
  }

  /** Key and chain of `host`, PEM; of the first host that has one when `host` is undefined. */
  pemFor(host?: string): string | undefined {
    if (host !== undefined) return this.#held.get(host.toLowerCase())?.pem;
    const first = this.#config.hosts.find((each) => this.#held.has(each));
    return first === undefined ? undefined : this.#held.get(first)?.pem;
  }

  /** Key and certificate that answer the challenge which is open for `host`, PEM. */
  async challengeFor(host: string): Promise<string | undefined> {
    const name = host.toLowerCase();
    return this.#config.hosts.includes(name) ? await this.#records.challenge(name) : undefined;
  }

  /** Has `callback` called whenever a certificate came. */
  onChange(callback: () => void): void {
    this.#onChange = callback;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#closing.abort();
    await this.#looking;
    await this.#records.close();
  }

  #lookIn(ms: number): void {
    if (this.#closing.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then((next) => this.#lookIn(next));
    }, ms);
    this.#timer.unref();
  }

  /** Does what is due, and gives in how many milliseconds to look again. */
  async #look(): Promise<number> {
    try {
      await this.#takeOver();
      const due = await this.#dueHosts();
      if (due.length > 0) {
        const lease = await this.#records.lease();
        if (lease === undefined) return OTHERS_MS;
        try {
          await this.#takeOver();
          for (const host of await this.#dueHosts()) await this.#fetch(host);
        } finally {
          await lease.release();
        }
      }
      const times = await Promise.all(this.#config.hosts.map((host) => this.#nextTime(host)));
      const next = Math.min(...times) - Date.now();
      return Math.min(Math.max(next, OTHERS_MS / 4), this.#longestLook());
    } catch (error) {
      this.#log.error('certificates not looked after', { error });
      return MINUTE;
    }
  }

  /** A process without a certificate waits for that of another; one that has all is in no haste. */
  #longestLook(): number {
    return this.#config.hosts.every((host) => this.#held.has(host)) ? LONGEST_LOOK_MS : OTHERS_MS;
  }

  /** Holds what the records hold. */
  async #takeOver(): Promise<void> {
    let changed = false;
    for (const host of this.#config.hosts) {
      const kept = await this.#records.certificate(host);
      if (kept === undefined || kept.pem === this.#held.get(host)?.pem) continue;
      this.#held.set(host, kept);
      changed = true;
    }
    if (changed) this.#onChange();
  }

  async #dueHosts(): Promise<string[]> {
    const now = Date.now();
    const due: string[] = [];
    for (const host of this.#config.hosts) if ((await this.#nextTime(host)) <= now) due.push(host);
    return due;
  }

  /** When something is to be done for `host`, milliseconds since the epoch. */
  async #nextTime(host: string): Promise<number> {
    const held = this.#held.get(host);
    const renewal = held === undefined ? 0 : renewalTime(held, this.#jitter);
    const failure = await this.#records.failure(host);
    if (failure === undefined) return renewal;
    const old = failure.at < this.#started;
    return Math.max(
      renewal,
      old ? Math.min(failure.until, failure.at + RESTART_MS) : failure.until,
    );
  }

  async #fetch(host: string): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const { email, directoryUrl } = this.#config;
    try {
      const key = await this.#records.accountKey();
      const client = await AcmeClient.open(directoryUrl, key, email, this.#closing.signal);
      await this.#records.putCertificate(host, await orderCertificate(client, this.#records, host));
      await this.#records.dropFailure(host);
      await this.#takeOver();
      const expires = new Date(this.#held.get(host)?.notAfter ?? 0).toISOString();
      this.#log.info('certificate fetched', { host, expires });
    } catch (error) {
      if (!this.#closing.signal.aborted) await this.#noteFailure(host, error);
    }
  }

  async #noteFailure(host: string, error: unknown): Promise<void> {
    const now = Date.now();
    const before = await this.#records.failure(host);
    const count = (before?.count ?? 0) + 1;
    const reason = error instanceof Error ? error.message : String(error);
    const failure: Failure = {
      count,
      at: now,
      until: now + pauseAfter(error, count),
      message: reason,
    };
    await this.#records.putFailure(host, failure);
    const held = this.#held.get(host);
    this.#log.error(
      held === undefined
        ? 'certificate not fetched; TLS of this host fails until it is'
        : 'certificate not renewed; the old one stays',
      {
        host,
        reason,
        nextTry: new Date(failure.until).toISOString(),
        ...(held && { expires: new Date(held.notAfter).toISOString() }),
      },
    );
  }
}

/**
 * When to renew, milliseconds since the epoch: 30 days before the end, or when a third of a shorter life is left;
 * a little later by `jitter`, from 0 to 1.
 */
export function renewalTime(
  { notBefore, notAfter }: Pick<KeptCertificate, 'notBefore' | 'notAfter'>,
  jitter: number,
): number {
  const margin = Math.min(30 * DAY, (notAfter - notBefore) / 3);
  return notAfter - margin + jitter * Math.min(HOUR, margin / 10);
}

/** A CA counts failed proofs, five in an hour at Let's Encrypt; one that can't be reached counts nothing. */
export function pauseAfter(error: unknown, count: number): number {
  const acme = error instanceof AcmeError ? error : undefined;
  const [first, longest] =
    acme?.type === 'unreachable' ? [5 * SECOND, 15 * MINUTE] : [MINUTE, 4 * HOUR];
  const pause = Math.min(first * 3 ** (count - 1), longest);
  return Math.max(pause, Math.min(acme?.retryAfterMs ?? 0, 7 * DAY));
}
