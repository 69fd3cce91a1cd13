import { residentMib, treeOf } from './processes.ts';

const EVERY_MS = 15;
/** How many looks at memory go by until children are looked for again. */
const LOOKS = 20;

/** Watches the resident memory of a process and its children, until it is stopped. */
export class MemoryWatch {
  /** The most so far, MiB. */
  peakMib = 0;
  readonly #root: number;
  readonly #timer: NodeJS.Timeout;
  #pids: number[];
  #looks = 0;

  constructor(root: number) {
    this.#root = root;
    this.#pids = treeOf(root);
    this.#look();
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#looks += 1;
    if (this.#looks % LOOKS === 0) this.#pids = treeOf(this.#root);
    this.peakMib = Math.max(this.peakMib, residentMib(this.#pids));
  }
}
