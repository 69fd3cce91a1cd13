import type { Logger } from '../protocols/registry.ts';
import type { ContentStore } from '../storage/content-store.ts';
import { takeLease } from '../storage/lease.ts';
import { storeRecord } from '../storage/paths.ts';
import { type PurgeOptions, purgeUploads } from '../storage/upload-purge.ts';
import { purgeV1Pushes } from '../storage/v1-push-purge.ts';
import type { PurgeConfig } from './config/storage.ts';

/** The first look comes at some time within the first hour, so that nodes started together don't all look at once. */
const FIRST_WITHIN_MS = 59 * 60 * 1000;
/** The longest time that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Drops abandoned uploads and V1 pushes now and then (distribution's `uploadpurging`); one worker or node at a time. */
export class UploadPurger {
  readonly #content: ContentStore;
  readonly #config: PurgeConfig;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    content: ContentStore,
    config: PurgeConfig,
    log: Logger,
    firstWithinMs = FIRST_WITHIN_MS,
  ) {
    this.#content = content;
    this.#config = config;
    this.#log = log;
    if (config.enabled) this.#wait(Math.random() * firstWithinMs);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => void this.#run(), Math.min(ms, MAX_TIMER_MS));
    this.#timer.unref();
  }

  async #run(): Promise<void> {
    const { ageSeconds, intervalSeconds, dryRun } = this.#config;
    try {
      const lease = await takeLease(this.#content.driver, storeRecord('upload-purge'));
      if (lease) {
        try {
          await this.#purge({ ageMs: ageSeconds * 1000, dryRun });
        } finally {
          await lease.release();
        }
      }
    } catch (error) {
      this.#log.warn('abandoned uploads not removed', { error });
    }
    this.#wait(intervalSeconds * 1000);
  }

  async #purge(options: PurgeOptions): Promise<void> {
    const { dryRun } = options;
    const uploads = await purgeUploads(this.#content, options);
    if (uploads.length > 0) {
      this.#log.info('abandoned uploads removed', { count: uploads.length, dryRun });
    }
    const pushes = await purgeV1Pushes(this.#content.driver, options);
    if (pushes.length > 0) {
      this.#log.info('interrupted V1 pushes removed', { count: pushes.length, dryRun });
    }
  }
}
