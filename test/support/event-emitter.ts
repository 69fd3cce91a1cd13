import { createEventSink } from '../../src/events/event-sink.ts';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import { collectingLog } from './collecting-log.ts';
import { makeEvent } from './registry-events.ts';

/* Emits events into the store at argument 1 for an endpoint at argument 2, says so once they are stored, and waits. */
const [root = '', url = '', count = '0'] = process.argv.slice(2);
const sink = createEventSink(
  {
    includeReferences: false,
    endpoints: [
      {
        name: 'ci',
        url,
        headers: {},
        timeoutSeconds: 1,
        threshold: 10,
        backoffSeconds: 60,
        ignoredMediaTypes: [],
        ignoredActions: [],
      },
    ],
  },
  new FilesystemDriver({ root }),
  collectingLog(),
);
await sink.start();
for (let n = 0; n < Number(count); n += 1) sink.emit(makeEvent(`v${n}`));
await sink.stored();
process.send?.('stored');
setInterval(() => {}, 1000);
