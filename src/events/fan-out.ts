import type { EventSink, Logger, RegistryEvent } from '../../protocols/registry.ts';

/** One sink that passes each event to all of `sinks` that listen. A sink that fails is logged, and harms no other. */
export function fanOut(sinks: readonly EventSink[], log: Logger): EventSink {
  const listening = sinks.filter(({ active }) => active !== false);
  const emit = (event: RegistryEvent) => {
    for (const sink of listening) {
      try {
        sink.emit(event);
      } catch (error) {
        log.error('event sink failed', { action: event.action, error });
      }
    }
  };
  return {
    active: listening.length > 0,
    emit,
    stored: () => {
      const waits = listening.flatMap((sink) => sink.stored?.() ?? []);
      return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
    },
  };
}
