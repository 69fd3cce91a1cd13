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
