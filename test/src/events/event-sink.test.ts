import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { EndpointConfig } from '../../../src/config/services.ts';
import { backlogs, DeadLetters } from '../../../src/events/dead-letters.ts';
import {
  createEventSink,
  type EventSinkOptions,
  type NotificationSink,
} from '../../../src/events/event-sink.ts';
import { endpointKey } from '../../../src/events/layout.ts';
import type { StorageDriver } from '../../../storage/driver.ts';
import { FilesystemDriver } from '../../../storage/drivers/filesystem.ts';
import { MemoryDriver } from '../../../storage/drivers/memory.ts';
import { collectingLog } from '../../support/collecting-log.ts';
import { eventually } from '../../support/eventually.ts';
import { makeEvent } from '../../support/registry-events.ts';
import { WebhookReceiver } from '../../support/webhook-receiver.ts';

const EMITTER = fileURLToPath(new URL('../../support/event-emitter.js', import.meta.url));

describe('notifications', () => {
  let root: string;
  let receiver: WebhookReceiver;
  const running: NotificationSink[] = [];
  let log = collectingLog();
  let folder = 0;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'isthmus-events-'));
  });
  after(() => rm(root, { recursive: true, force: true }));
  beforeEach(async (context) => {
    const started = await WebhookReceiver.start();
    receiver = started;
    log = collectingLog();
    (context as { after(end: () => Promise<void>): void }).after(async () => {
      for (const sink of running.splice(0)) await sink.close();
      await started.stop();
    });
  });

  function freshDriver(): FilesystemDriver {
    folder += 1;
    return new FilesystemDriver({ root: join(root, String(folder)) });
  }

  function endpoint(other: Partial<EndpointConfig> = {}): EndpointConfig {
    return {
      name: 'ci',
      url: receiver.url,
      headers: {},
      timeoutSeconds: 1,
      threshold: 3,
      backoffSeconds: 0.05,
      ignoredMediaTypes: [],
      ignoredActions: [],
      ...other,
    };
  }

  async function startSink(
    driver: StorageDriver,
    endpoints: EndpointConfig[],
    options: EventSinkOptions = {},
  ): Promise<NotificationSink> {
    const sink = createEventSink({ includeReferences: false, endpoints }, driver, log, options);
    running.push(sink);
    await sink.start();
    return sink;
  }

  it('arrive in distribution’s envelope, one event a request, with the endpoint’s headers', async () => {
    const headers = { Authorization: ['Bearer secret'] };
    const sink = await startSink(freshDriver(), [endpoint({ headers })], { address: 'node:5000' });
    sink.emit(makeEvent('v1'));
    const request = await eventually(() => receiver.requests[0], 'the request');
    assert.equal(
      request.headers['content-type'],
      'application/vnd.docker.distribution.events.v2+json',
    );
    assert.equal(request.headers.authorization, 'Bearer secret');
    assert.equal(request.events.length, 1);
    const { id, timestamp, source, ...rest } = request.events[0] ?? assert.fail();
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 10_000);
    assert.equal(source.addr, 'node:5000');
    const digest = `sha256:${'ab'.repeat(32)}`;
    assert.deepEqual(rest, {
      action: 'push',
      target: {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        size: 1234,
        length: 1234,
        repository: 'team/app',
        url: `https://hub.example:5000/v2/team/app/manifests/${digest}`,
        tag: 'v1',
      },
      request: {
        id: 'request-1',
        addr: '10.0.0.9',
        host: 'hub.example:5000',
        method: 'PUT',
        useragent: 'docker/20.10',
      },
      actor: { name: 'ann' },
    });
  });

  it('leave out the media types and actions that an endpoint ignores', async () => {
    const ignoring = endpoint({
      ignoredMediaTypes: ['application/octet-stream'],
      ignoredActions: ['pull'],
    });
    const sink = await startSink(freshDriver(), [ignoring]);
    sink.emit(makeEvent('pulled', { action: 'pull' }));
    sink.emit(makeEvent('layer', { target: { mediaType: 'application/octet-stream' } }));
    sink.emit(makeEvent('wanted'));
    await eventually(() => receiver.taken.length > 0, 'the wanted event');
    assert.deepEqual(receiver.tags, ['wanted']);
  });

  it('stay in order over failures, and wait once the threshold is reached', async () => {
    const times: number[] = [];
    receiver.react = () => (times.push(Date.now()) <= 4 ? 503 : 200);
    const slow = endpoint({ threshold: 3, backoffSeconds: 0.4 });
    const sink = await startSink(freshDriver(), [slow]);
    for (let n = 0; n < 20; n += 1) sink.emit(makeEvent(`v${n}`));
    await eventually(() => receiver.taken.length === 20, 'all events');
    assert.deepEqual(
      receiver.tags,
      Array.from({ length: 20 }, (_, n) => `v${n}`),
    );
    const gaps = times.slice(1, 5).map((time, n) => time - (times[n] ?? 0));
    assert.ok((gaps[0] ?? 0) < 390, `the first repetition comes soon: ${gaps}`);
    assert.ok((gaps[2] ?? 0) >= 390 && (gaps[3] ?? 0) >= 390, `back-off was kept: ${gaps}`);
    const [metrics] = await sink.metrics();
    assert.equal(metrics?.successes, 20);
    assert.deepEqual(metrics?.statuses, { 200: 20, 503: 4 });
  });

  it('reach one endpoint while another hangs', async () => {
    const hanging = await WebhookReceiver.start();
    try {
      hanging.react = () => 'hang';
      const sink = await startSink(freshDriver(), [
        endpoint({ name: 'hangs', url: hanging.url, timeoutSeconds: 0.3 }),
        endpoint(),
      ]);
      for (let n = 0; n < 5; n += 1) sink.emit(makeEvent(`v${n}`));
      await eventually(() => receiver.taken.length === 5, 'the events of the other', 2000);
      await eventually(() => hanging.requests.length >= 2, 'a repetition after the time-out');
      const [hangs] = await sink.metrics();
      assert.equal(hangs?.pending, 5);
      assert.ok((hangs?.errors ?? 0) >= 1);
    } finally {
      await running.pop()?.close();
      await hanging.stop();
    }
  });

  it('are delivered by the next process after a kill -9, none lost', async () => {
    const driver = freshDriver();
    const child = fork(EMITTER, [join(root, String(folder)), 'http://127.0.0.1:1/', '50']);
    await once(child, 'message');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await startSink(driver, [endpoint()]);
    await eventually(() => receiver.taken.length >= 50, 'the events of the killed process');
    assert.deepEqual(
      receiver.tags,
      Array.from({ length: 50 }, (_, n) => `v${n}`),
    );
  });

  it('of several workers are sent once each, in the order in which they happened', async () => {
    const driver = freshDriver();
    const sinks: NotificationSink[] = [];
    for (let n = 0; n < 3; n += 1) sinks.push(await startSink(driver, [endpoint()]));
    for (let n = 0; n < 30; n += 1) {
      sinks[n % 3]?.emit(makeEvent(`v${n}`));
      await sinks[n % 3]?.stored();
    }
    await eventually(() => receiver.taken.length >= 30, 'all events');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(
      receiver.tags,
      Array.from({ length: 30 }, (_, n) => `v${n}`),
    );
  });

  it('go on from another worker when the one that delivers stops', async () => {
    const driver = freshDriver();
    const first = await startSink(driver, [endpoint()]);
    const second = await startSink(driver, [endpoint()]);
    second.emit(makeEvent('by the first'));
    await eventually(() => receiver.taken.length === 1, 'the first event');
    await first.close();
    second.emit(makeEvent('by the second'));
    await eventually(() => receiver.taken.length === 2, 'the second event', 5000);
  });

  it('that the endpoint refuses become dead letters, and others pass; replay sends them again', async () => {
    const driver = freshDriver();
    receiver.react = ({ target }) => (target.tag === 'bad' ? 422 : 200);
    const sink = await startSink(driver, [endpoint()]);
    for (const tag of ['one', 'bad', 'two']) sink.emit(makeEvent(tag));
    await eventually(() => receiver.taken.length === 2, 'the good ones');
    assert.deepEqual(receiver.tags, ['one', 'two']);
    const dead = new DeadLetters(endpointKey('ci'), driver, 10);
    const letters = [];
    for await (const each of dead.letters()) letters.push(...each.letters);
    assert.equal(letters.length, 1);
    assert.equal(letters[0]?.reason, 'the endpoint answered 422');
    receiver.react = () => 200;
    assert.equal(await dead.replay(), 1);
    await eventually(() => receiver.taken.length === 3, 'the replayed one');
    assert.deepEqual(receiver.tags, ['one', 'two', 'bad']);
    assert.equal(await dead.count(), 0);
  });

  it('become dead letters when they never get through in the given time', async () => {
    receiver.react = () => 503;
    const sink = await startSink(freshDriver(), [endpoint()], { giveUpMs: 150 });
    sink.emit(makeEvent('old'));
    await eventually(async () => {
      const [first] = await sink.metrics();
      return first?.deadLetters === 1 && first.dead === 1;
    }, 'the dead letter');
    assert.ok(receiver.requests.length >= 3, 'the threshold counts, too');
  });

  it('are bounded: what does not fit becomes a dead letter, the oldest go first', async () => {
    const driver = freshDriver();
    receiver.react = () => 503;
    const sink = await startSink(driver, [endpoint({ backoffSeconds: 30 })], { maxEvents: 5 });
    for (let n = 0; n < 20; n += 1) {
      sink.emit(makeEvent(`v${n}`));
      await sink.stored();
    }
    const [backlog] = await backlogs(driver);
    assert.deepEqual(
      { name: backlog?.name, pending: backlog?.pending, dead: backlog?.dead },
      { name: 'ci', pending: 5, dead: 5 },
    );
    assert.ok(log.lines.some(({ event }) => event.startsWith('event queue full')));
  });

  it('stay in memory while the store takes none, and hold up no answer', async () => {
    const driver = new MemoryDriver();
    const put = driver.put.bind(driver);
    let full = true;
    driver.put = async (path, ...rest) => {
      if (full && path.includes('/queue/')) throw new Error('disk full');
      return put(path, ...rest);
    };
    const sink = await startSink(driver, [endpoint()]);
    sink.emit(makeEvent('kept'));
    await sink.stored();
    assert.equal(receiver.taken.length, 0);
    full = false;
    await eventually(() => receiver.taken.length === 1, 'the event, once the store takes it');
  });

  it('cost nothing without endpoints', async () => {
    const sink = await startSink(freshDriver(), []);
    assert.equal(sink.active, false);
    sink.emit(makeEvent('v1'));
    assert.equal(sink.stored(), undefined);
  });
});
