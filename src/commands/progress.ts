import type { Logger } from '../../protocols/registry.ts';
import type { TransferProgress } from '../../storage/archives/import-report.ts';

const BAR_WIDTH = 24;
const DRAW_MS = 200;
const LOG_MS = 10_000;

/** A text stream that may be a terminal. */
export interface ProgressOutput {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** Shows how far a transfer is: a bar with rate and time left on a terminal, a log line now and then elsewhere. */
export class ProgressMeter {
  readonly #what: string;
  readonly #output: ProgressOutput;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #started: number;
  #latest: TransferProgress = { done: 0, total: undefined };
  #shown: number;

  constructor(what: string, output: ProgressOutput, log: Logger, now: () => number = Date.now) {
    this.#what = what;
    this.#output = output;
    this.#log = log;
    this.#now = now;
    this.#started = now();
    this.#shown = this.#started;
  }

  update(progress: TransferProgress): void {
    this.#latest = progress;
    const interval = this.#output.isTTY ? DRAW_MS : LOG_MS;
    if (this.#now() - this.#shown < interval) return;
    this.#shown = this.#now();
    if (this.#output.isTTY) this.#output.write(`\r${this.line()}\x1b[K`);
    else this.#log.info(this.#what, this.#fields());
  }

  /** Takes the bar away, so that what follows begins a line. */
  end(): void {
    if (this.#output.isTTY) this.#output.write('\r\x1b[K');
  }

  /** The bar as it stands. */
  line(): string {
    const { done, total } = this.#latest;
    const rate = `${formatBytes(this.#rate())}/s`;
    if (total === undefined) return `${this.#what}  ${formatBytes(done)}  ${rate}`;
    const share = total === 0 ? 1 : Math.min(done / total, 1);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = `${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}`;
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const line = `${this.#what}  [${bar}] ${percent}  ${formatBytes(done)} of ${formatBytes(total)}  ${rate}  ${this.#left()} left`;
    return line.slice(0, Math.max((this.#output.columns ?? 120) - 1, 20));
  }

  #fields(): Record<string, unknown> {
    const { done, total } = this.#latest;
    const bytesPerSecond = Math.round(this.#rate());
    const secondsLeft = this.#secondsLeft();
    return { done, total, bytesPerSecond, ...(secondsLeft !== undefined && { secondsLeft }) };
  }

  /** Bytes a second since the start. */
  #rate(): number {
    return (this.#latest.done * 1000) / Math.max(this.#now() - this.#started, 1);
  }

  #secondsLeft(): number | undefined {
    const { done, total } = this.#latest;
    if (total === undefined || done === 0) return undefined;
    return Math.ceil(Math.max(total - done, 0) / this.#rate());
  }

  #left(): string {
    const seconds = this.#secondsLeft();
    if (seconds === undefined) return '--:--';
    const two = (value: number) => String(value).padStart(2, '0');
    const minutes = Math.floor(seconds / 60);
    const tail = `${two(minutes % 60)}:${two(seconds % 60)}`;
    return minutes < 60 ? tail : `${Math.floor(minutes / 60)}:${tail}`;
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}
