import type { Manifest } from './manifest.ts';
import type { Repository } from './repository.ts';

/** Pushes come in bursts; proofs wait until one is over, so that they don't slow it down. */
const IDLE_MS = 2_000;
/** Where pushes never stop, proofs wait no longer than this. */
const PATIENCE_MS = 30_000;
/** More than this is proved when a V1 client asks. */
const MAX_WAITING = 10_000;

/** Proves the diff IDs of pushed manifests in the background, one after the other (bridge.md 2.1). */
export class Proofs {
  readonly #prove: (repository: Repository, manifest: Manifest) => Promise<unknown>;
  readonly #onFailure: (repository: string, error: unknown) => void;
  readonly #waiting: { repository: Repository; manifest: Manifest }[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Since when the queue is waiting. */
  #since: number | undefined;
  #running = false;
  #closed = false;

  constructor(
    prove: (repository: Repository, manifest: Manifest) => Promise<unknown>,
    onFailure: (repository: string, error: unknown) => void,
  ) {
    this.#prove = prove;
    this.#onFailure = onFailure;
  }

  /** Puts a manifest in the queue; anything but an image is passed over. */
  add(repository: Repository, manifest: Manifest): void {
    if (this.#closed || manifest.kind === 'index' || manifest.kind === 'artifact') return;
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push({ repository, manifest });
    this.#since ??= Date.now();
    const left = this.#since + PATIENCE_MS - Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#run(), Math.min(IDLE_MS, Math.max(0, left)));
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    this.#since = undefined;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      try {
        await this.#prove(next.repository, next.manifest);
      } catch (error) {
        this.#onFailure(next.repository.name, error);
      }
    }
    this.#running = false;
  }
}
