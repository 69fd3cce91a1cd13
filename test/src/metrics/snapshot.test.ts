import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MetricRegistry } from '../../../src/metrics/registry.ts';
import { mergeSnapshots, prometheusText } from '../../../src/metrics/snapshot.ts';
import { WorkerBoard } from '../../../src/metrics/worker-board.ts';

async function worker(requests: number, started: number, seconds: number[]) {
  const metrics = new MetricRegistry();
  metrics.counter('requests_total', 'Requests.', ['method']).with('get').add(requests);
  metrics.gauge('workers', 'Workers.').with().set(1);
  metrics.gauge('started', 'Start.', [], 'min').with().set(started);
  const histogram = metrics.histogram('seconds', 'Time.', ['route'], [0.1, 1]).with('tag "a"\n\\');
  for (const each of seconds) histogram.observe(each);
  return { metrics: await metrics.snapshot(), failing: {}, vars: {} };
}

describe('metrics', () => {
  it('are written in the text form of Prometheus', async () => {
    const { metrics } = await worker(3, 7, [0.1, 0.5, 5]);
    assert.equal(
      prometheusText(metrics),
      [
        '# HELP requests_total Requests.',
        '# TYPE requests_total counter',
        'requests_total{method="get"} 3',
        '# HELP workers Workers.',
        '# TYPE workers gauge',
        'workers 1',
        '# HELP started Start.',
        '# TYPE started gauge',
        'started 7',
        '# HELP seconds Time.',
        '# TYPE seconds histogram',
        'seconds_bucket{route="tag \\"a\\"\\n\\\\",le="0.1"} 1',
        'seconds_bucket{route="tag \\"a\\"\\n\\\\",le="1"} 2',
        'seconds_bucket{route="tag \\"a\\"\\n\\\\",le="+Inf"} 3',
        'seconds_sum{route="tag \\"a\\"\\n\\\\"} 5.6',
        'seconds_count{route="tag \\"a\\"\\n\\\\"} 3',
        '',
      ].join('\n'),
    );
  });

  it('of several workers are summed, or joined as their family says', async () => {
    const two = [(await worker(3, 7, [0.5])).metrics, (await worker(4, 5, [0.5, 2])).metrics];
    const text = prometheusText(mergeSnapshots(two));
    assert.match(text, /^requests_total\{method="get"\} 7$/m);
    assert.match(text, /^workers 2$/m);
    assert.match(text, /^started 5$/m);
    assert.match(text, /^seconds_bucket\{.*le="1"\} 2$/m);
    assert.match(text, /^seconds_sum\{.*\} 3$/m);
  });

  it('keep what a worker had counted when it is gone, but not what it was', async () => {
    const board = new WorkerBoard<string>();
    board.update('first', await worker(3, 7, [0.5]));
    board.update('second', await worker(4, 5, []));
    board.retire('second');
    const text = prometheusText(board.metrics());
    assert.match(text, /^requests_total\{method="get"\} 7$/m);
    assert.match(text, /^workers 1$/m);
    assert.match(text, /^started 7$/m);
  });

  it('give the same number for the same labels, and refuse a name twice', () => {
    const metrics = new MetricRegistry();
    const counter = metrics.counter('a', 'A.', ['x']);
    assert.equal(counter.with('1'), counter.with('1'));
    assert.throws(() => metrics.gauge('a', 'A.'), /exists already/);
  });
});
