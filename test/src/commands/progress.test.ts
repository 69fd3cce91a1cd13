import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatBytes, ProgressMeter } from '../../../src/commands/progress.ts';

function meter(isTTY: boolean) {
  const written: string[] = [];
  const logged: unknown[] = [];
  let now = 0;
  const log = {
    debug() {},
    info: (event: string, fields?: Record<string, unknown>) => void logged.push([event, fields]),
    warn() {},
    error() {},
  };
  const output = { isTTY, columns: 120, write: (text: string) => written.push(text) };
  const made = new ProgressMeter('importing', output, log, () => now);
  return { made, written, logged, at: (ms: number) => (now = ms) };
}

describe('the progress of a transfer', () => {
  it('is a bar with rate and time left on a terminal', () => {
    const { made, written, logged, at } = meter(true);
    at(10_000);
    made.update({ done: 25 * 2 ** 20, total: 100 * 2 ** 20 });
    assert.equal(
      written[0],
      '\rimporting  [######..................]  25%  25.0 MiB of 100.0 MiB  2.5 MiB/s  00:30 left\x1b[K',
    );
    assert.deepEqual(logged, []);
    made.end();
    assert.equal(written[1], '\r\x1b[K');
  });

  it('is a line of the log now and then elsewhere', () => {
    const { made, written, logged, at } = meter(false);
    at(5_000);
    made.update({ done: 5, total: 1000 });
    at(10_000);
    made.update({ done: 1000, total: 4000 });
    at(11_000);
    made.update({ done: 1100, total: 4000 });
    made.end();
    assert.deepEqual(written, []);
    const fields = { done: 1000, total: 4000, bytesPerSecond: 100, secondsLeft: 30 };
    assert.deepEqual(logged, [['importing', fields]]);
  });

  it('does without a total', () => {
    const { made, at } = meter(true);
    at(2_000);
    made.update({ done: 4096, total: undefined });
    assert.equal(made.line(), 'importing  4.0 KiB  2.0 KiB/s');
  });

  it('draws not more often than eyes can follow', () => {
    const { made, written, at } = meter(true);
    for (let ms = 0; ms <= 1_000; ms += 10) {
      at(ms);
      made.update({ done: ms, total: 1_000 });
    }
    assert.equal(written.length, 5);
  });

  it('counts hours', () => {
    const { made, at } = meter(true);
    at(1_000);
    made.update({ done: 1, total: 3601 + 62 });
    assert.match(made.line(), /1:01:02 left$/);
  });

  it('says sizes as people do', () => {
    const sizes = [0, 1023, 1024, 1536, 5 * 2 ** 30, 3 * 2 ** 50];
    assert.deepEqual(sizes.map(formatBytes), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '5.0 GiB',
      '3072.0 TiB',
    ]);
  });
});
