import type { NotificationSink } from '../events/event-sink.ts';
import type { MetricRegistry } from './registry.ts';

/** Distribution's metrics of notifications (v2.md 5.6), and dead letters beside them. */
export function observeEvents(metrics: MetricRegistry, sink: NotificationSink): void {
  if (!sink.active) return;
  const events = metrics.counter('registry_notifications_events_total', 'Events.', [
    'type',
    'endpoint',
  ]);
  const status = metrics.counter('registry_notifications_status_total', 'Answers of endpoints.', [
    'code',
    'endpoint',
  ]);
  // Every process sees the same queue in the store, so their numbers are no sum.
  const pending = metrics.gauge(
    'registry_notifications_pending_total',
    'Events that wait.',
    ['endpoint'],
    'max',
  );
  const dead = metrics.gauge(
    'isthmus_notifications_dead_letters',
    'Events that were given up and can be replayed.',
    ['endpoint'],
    'max',
  );
  metrics.onCollect(async () => {
    for (const endpoint of await sink.metrics()) {
      const { name } = endpoint;
      events.with('Events', name).set(endpoint.events);
      events.with('Successes', name).set(endpoint.successes);
      events.with('Failures', name).set(endpoint.failures);
      events.with('Errors', name).set(endpoint.errors);
      for (const [code, count] of Object.entries(endpoint.statuses))
        status.with(code, name).set(count);
      pending.with(name).set(endpoint.pending);
      dead.with(name).set(endpoint.deadLetters);
    }
  });
}
