import { lastingPart, mergeSnapshots, type Snapshot } from './snapshot.ts';

/** What a worker tells the master of itself. */
export interface WorkerReport {
  metrics: Snapshot;
  /** Checks that fail, with their reasons. */
  failing: Record<string, string>;
  /** Plain values for `/debug/vars`. */
  vars: Record<string, unknown>;
}

/**
 * The master's view of all workers. What a worker counted stays in the sums after it is gone, since a counter that
 * goes back looks like a restart to Prometheus.
 */
export class WorkerBoard<Worker> {
  readonly #reports = new Map<Worker, WorkerReport>();
  #past: Snapshot = [];

  update(worker: Worker, report: WorkerReport): void {
    this.#reports.set(worker, report);
  }

  /** The worker is gone. */
  retire(worker: Worker): void {
    const report = this.#reports.get(worker);
    if (report === undefined) return;
    this.#reports.delete(worker);
    this.#past = mergeSnapshots([this.#past, lastingPart(report.metrics)]);
  }

  /** Sums over all workers that are, and what those counted that were. */
  metrics(): Snapshot {
    const now = [...this.#reports.values()].map(({ metrics }) => metrics);
    return mergeSnapshots([...now, this.#past]);
  }

  /** Values of one worker: those of the store are the same for all. */
  vars(): Record<string, unknown> {
    const [first] = this.#reports.values();
    return first?.vars ?? {};
  }

  /** What any worker finds failing. */
  failing(): Record<string, string> {
    return Object.assign({}, ...[...this.#reports.values()].map(({ failing }) => failing));
  }
}
