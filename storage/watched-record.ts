import type { FileStamp, StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { type MaybePromise, sameStamp, settled } from './links.ts';

/** The text of one small record. On a local file system it is read again only when its stamp has changed. */
export class WatchedRecord {
  readonly #driver: StorageDriver;
  readonly #path: string;
  #known: { stamp: FileStamp; text: string } | undefined;

  constructor(driver: StorageDriver, path: string) {
    this.#driver = driver;
    this.#path = path;
  }

  /** The text as it is now; '' when there is no record. */
  text(): MaybePromise<string> {
    const { local } = this.#driver;
    if (!local) {
      return ifFound(this.#driver.get(this.#path)).then((bytes) => bytes?.toString() ?? '');
    }
    const stamp = local.stamp(this.#path);
    if (!stamp) return '';
    if (this.#known && sameStamp(this.#known.stamp, stamp)) return this.#known.text;
    const text = local.get(this.#path)?.toString() ?? '';
    this.#known = settled(stamp) ? { stamp, text } : undefined;
    return text;
  }
}
