import type { ActionObserver, StorageAction } from '../../storage/drivers/instrumented.ts';
import { PathNotFoundError } from '../../storage/errors.ts';
import { DURATION_BOUNDS, type MetricRegistry } from './registry.ts';

/** Observers for `instrumented`: `registry_storage_action_seconds` (v2.md 5.6), and failures beside it. */
export function storageObservers(
  metrics: MetricRegistry,
  driver: string,
): (action: StorageAction) => ActionObserver<number> {
  const seconds = metrics.histogram(
    'registry_storage_action_seconds',
    'Time that the storage driver took.',
    ['driver', 'action'],
    DURATION_BOUNDS,
  );
  const errors = metrics.counter(
    'isthmus_storage_errors_total',
    'Actions of the storage driver that failed, other than by a missing path.',
    ['driver', 'action'],
  );
  return (action) => {
    const histogram = seconds.with(driver, action);
    const failed = errors.with(driver, action);
    return {
      begin: () => performance.now(),
      end: (started, error) => {
        histogram.observe((performance.now() - started) / 1000);
        if (error !== undefined && !(error instanceof PathNotFoundError)) failed.add(1);
      },
    };
  };
}

/** Distribution's metrics of its descriptor cache (v2.md 5.6), for ours of manifests. */
export function observeCache(
  metrics: MetricRegistry,
  counts: () => Readonly<{ hits: number; misses: number }>,
): void {
  const requests = metrics.counter('registry_storage_cache_requests_total', 'Manifests asked for.');
  const hits = metrics.counter('registry_storage_cache_hits_total', 'Manifests found in memory.');
  const errors = metrics.counter('registry_storage_cache_errors_total', 'Failures of the cache.');
  errors.with().set(0);
  metrics.onCollect(() => {
    const now = counts();
    requests.with().set(now.hits + now.misses);
    hits.with().set(now.hits);
  });
}

/** Whether the storage takes writes, as far as the health probe knows. */
export function observeWrites(metrics: MetricRegistry, unwritable: () => string | undefined): void {
  const help = '1 while the storage takes writes, 0 when the last probe failed.';
  const writable = metrics.gauge('isthmus_storage_writable', help, [], 'min').with();
  metrics.onCollect(() => writable.set(unwritable() === undefined ? 1 : 0));
}
