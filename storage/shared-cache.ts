/**
 * Small content kept outside of this process for all workers and nodes. Only ever a help: what is asked for may be
 * gone at any time, and neither method fails or takes long, whatever state the cache is in.
 */
export interface SharedCache {
  get(key: string): Promise<Buffer | undefined>;
  /** Seconds until it is forgotten; undefined keeps it as long as there is room. */
  set(key: string, value: Buffer | string, seconds?: number): void;
}
