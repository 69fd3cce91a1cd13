import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { Dispatcher, type Target } from '../../../src/workers/dispatcher.ts';

/** A target that notes what it is sent. */
class Recorder implements Target {
  readonly got: [number, Socket][] = [];
  alive = true;

  send(id: number, socket: Socket): boolean {
    if (this.alive) this.got.push([id, socket]);
    return this.alive;
  }

  last(): [number, Socket] {
    return this.got.at(-1) ?? [0, new Socket()];
  }
}

function setUp(count: number) {
  const dispatcher = new Dispatcher();
  const targets = Array.from({ length: count }, () => new Recorder());
  for (const target of targets) dispatcher.add(target);
  const dispatch = (times: number) => {
    for (let i = 0; i < times; i++) dispatcher.dispatch(new Socket());
  };
  return { dispatcher, targets, dispatch, counts: () => targets.map(({ got }) => got.length) };
}

test('sends each connection to the target that holds the fewest', () => {
  const { dispatcher, targets, dispatch, counts } = setUp(3);
  dispatch(9);
  assert.deepEqual(counts(), [3, 3, 3]);
  const [first] = targets;
  assert.ok(first);
  for (const [id] of first.got) {
    dispatcher.confirm(first, id);
    dispatcher.closed(first);
  }
  dispatch(2);
  assert.deepEqual(counts(), [5, 3, 3]);
});

test('lets go of a connection when it is confirmed, not before', () => {
  const { dispatcher, targets, dispatch } = setUp(1);
  dispatch(1);
  const [only] = targets;
  assert.ok(only);
  const [id, socket] = only.last();
  assert.equal(socket.destroyed, false);
  dispatcher.confirm(only, id);
  assert.equal(socket.destroyed, true);
});

test('gives what a dead target had not confirmed to another', () => {
  const { dispatcher, targets, dispatch } = setUp(2);
  dispatch(4);
  const [dead, other] = targets;
  assert.ok(dead && other);
  const [confirmed] = dead.got[0] ?? [0];
  dispatcher.confirm(dead, confirmed);
  dispatcher.remove(dead);
  assert.equal(other.got.length, 3);
  assert.equal(other.last()[1], dead.got[1]?.[1]);
});

test('gives what a leaving target refused to another, and nothing more to it', () => {
  const { dispatcher, targets, dispatch } = setUp(2);
  dispatch(2);
  const [leaving, other] = targets;
  assert.ok(leaving && other);
  dispatcher.refuse(leaving, leaving.last()[0]);
  dispatch(3);
  assert.equal(leaving.got.length, 1);
  assert.equal(other.got.length, 5);
});

test('does not send twice what a retired target may still confirm', () => {
  const { dispatcher, targets, dispatch } = setUp(2);
  dispatch(2);
  const [retired, other] = targets;
  assert.ok(retired && other);
  dispatcher.retire(retired);
  assert.equal(other.got.length, 1);
  dispatcher.confirm(retired, retired.last()[0]);
  assert.equal(retired.last()[1].destroyed, true);
});

test('keeps connections while there is no target, also when the last turns out to be dead', () => {
  const { dispatcher, targets, dispatch } = setUp(1);
  const [only] = targets;
  assert.ok(only);
  only.alive = false;
  dispatch(2);
  assert.equal(dispatcher.waiting, 2);
  const next = new Recorder();
  dispatcher.add(next);
  assert.equal(next.got.length, 2);
  assert.equal(dispatcher.waiting, 0);
});
