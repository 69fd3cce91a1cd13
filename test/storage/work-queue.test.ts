import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Urgency, WorkQueue } from '../../storage/work-queue.ts';

/** Work that ends when it is told to. */
class Bench {
  readonly started: string[] = [];
  readonly #ends = new Map<string, () => void>();
  readonly #queue = new WorkQueue<string>({ waiting: 2, listed: 1, background: 1 });

  ask(key: string, urgency: Urgency): Promise<string> {
    return this.#queue.run(key, urgency, () => {
      this.started.push(key);
      return new Promise((resolve) => this.#ends.set(key, () => resolve(key)));
    });
  }

  async end(key: string): Promise<void> {
    this.#ends.get(key)?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a work queue', () => {
  it('does a piece once for all who ask for it while it runs', async () => {
    const bench = new Bench();
    const asked = [
      bench.ask('a', 'waiting'),
      bench.ask('a', 'background'),
      bench.ask('a', 'waiting'),
    ];
    assert.deepEqual(bench.started, ['a']);
    await bench.end('a');
    assert.deepEqual(await Promise.all(asked), ['a', 'a', 'a']);
    const again = bench.ask('a', 'waiting');
    assert.deepEqual(bench.started, ['a', 'a'], 'and again when it is asked for later');
    await bench.end('a');
    await again;
  });

  it('begins what somebody waits for beside the background', async () => {
    const bench = new Bench();
    void bench.ask('slow', 'background');
    void bench.ask('later', 'background');
    void bench.ask('now', 'waiting');
    assert.deepEqual(bench.started, ['slow', 'now']);
  });

  it('begins nothing in the background while somebody waits', async () => {
    const bench = new Bench();
    void bench.ask('now', 'waiting');
    void bench.ask('later', 'background');
    assert.deepEqual(bench.started, ['now']);
    await bench.end('now');
    assert.deepEqual(bench.started, ['now', 'later']);
  });

  it('brings forward what stands in the background queue once somebody waits for it', async () => {
    const bench = new Bench();
    for (const key of ['first', 'second', 'third']) void bench.ask(key, 'background');
    const third = bench.ask('third', 'waiting');
    assert.deepEqual(bench.started, ['first', 'third']);
    await bench.end('third');
    assert.equal(await third, 'third');
  });

  it('begins what one client waits for before what makes a list longer', async () => {
    const bench = new Bench();
    for (const key of ['a', 'b', 'c']) void bench.ask(key, 'listed');
    void bench.ask('now', 'waiting');
    void bench.ask('c', 'waiting');
    assert.deepEqual(bench.started, ['a', 'now', 'c']);
    await bench.end('a');
    assert.deepEqual(bench.started, ['a', 'now', 'c'], 'the list goes on once nobody waits');
    await bench.end('now');
    await bench.end('c');
    assert.deepEqual(bench.started, ['a', 'now', 'c', 'b']);
  });

  it('does no more of either kind at a time than it has places', async () => {
    const bench = new Bench();
    for (const key of ['a', 'b', 'c']) void bench.ask(key, 'waiting');
    assert.deepEqual(bench.started, ['a', 'b']);
    await bench.end('a');
    assert.deepEqual(bench.started, ['a', 'b', 'c']);
  });

  it('goes on after a piece that fails, which its askers hear of', async () => {
    const queue = new WorkQueue<string>({ waiting: 1, listed: 1, background: 1 });
    const failing = queue.run('a', 'waiting', () => Promise.reject(new Error('no')));
    const next = queue.run('b', 'waiting', async () => 'done');
    await assert.rejects(failing, /no/);
    assert.equal(await next, 'done');
  });
});
