import { readdirSync } from 'node:fs';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { MetricRegistry } from './registry.ts';

const NANOSECONDS = 1e9;

/** One for the process, however often its registry is opened anew. */
let delay: IntervalHistogram | undefined;

/** What every process tells of itself, under the names that client libraries use; summed over workers. */
export function observeProcess(metrics: MetricRegistry): void {
  metrics.gauge('isthmus_workers', 'Processes that serve requests.').with().set(1);
  const cpu = metrics.counter('process_cpu_seconds_total', 'CPU time, user and system.').with();
  const memory = metrics.gauge('process_resident_memory_bytes', 'Resident memory.').with();
  const descriptors = metrics.gauge('process_open_fds', 'Open file descriptors.').with();
  const started = metrics.gauge(
    'process_start_time_seconds',
    'Start of the oldest process, since the epoch.',
    [],
    'min',
  );
  started.with().set(Date.now() / 1000 - process.uptime());
  const lag = metrics.gauge(
    'nodejs_eventloop_lag_p99_seconds',
    'Delay of the event loop since the last look, of the slowest process.',
    [],
    'max',
  );
  delay ??= monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const histogram = delay;
  // Only what was used from here on: after a reload, the sums hold already what came before.
  const base = process.cpuUsage();
  metrics.onCollect(() => {
    const { user, system } = process.cpuUsage(base);
    cpu.set((user + system) / 1e6);
    memory.set(process.memoryUsage.rss());
    descriptors.set(openDescriptors());
    lag.with().set(histogram.percentile(99) / NANOSECONDS);
    histogram.reset();
  });
}

function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0; // no /proc here
  }
}
