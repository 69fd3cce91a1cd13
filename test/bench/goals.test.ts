import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Comparison } from '../../bench/compare.ts';
import { judge, readGoals } from '../../bench/goals.ts';
import { HOME } from '../../bench/page.ts';
import { STARTS } from '../../bench/starts.ts';
import { WORKLOADS } from '../../bench/workloads/all.ts';

const COMPARISON: Comparison = {
  targets: ['slow', 'fast', 'isthmus', 'isthmus-fsync-off'],
  ours: ['isthmus', 'isthmus-fsync-off'],
  rows: [
    {
      id: 'w1.tag.c1',
      title: 'manifests',
      kind: 'requests',
      results: {
        slow: { score: 100, cpuMicros: 800, p99: 9, notes: [] },
        fast: { score: 200, cpuMicros: 400, p99: 4, notes: [] },
        isthmus: { score: 1000, cpuMicros: 50, p99: 1, notes: [] },
      },
    },
    {
      id: 'w5.push',
      title: 'an image',
      kind: 'time',
      results: {
        slow: { score: 90, notes: [] },
        fast: { notes: [], failure: 'gave up' },
        isthmus: { score: 60, notes: [] },
        'isthmus-fsync-off': { score: 30, notes: [] },
      },
    },
  ],
  warnings: [],
};

describe('the goals of a benchmark', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-goals-'));
  after(() => rmSync(folder, { recursive: true }));

  it('are met or missed by ratios to the best of the peers or to one of them, in each metric', () => {
    const { lines, missed } = judge(COMPARISON, {
      goals: [
        { workload: 'w1.*', min: 5 },
        { workload: 'w1.*', versus: 'slow', min: 10.5 },
        { workload: 'w1.*', metric: 'cpu', min: 8 },
        { workload: 'w1.*', metric: 'p99', min: 4.5 },
        { workload: 'w5.push', subject: 'isthmus-fsync-off', min: 3 },
        { workload: 'w5.push', versus: 'fast', min: 0.1 },
      ],
    });
    assert.deepEqual(lines, [
      'ok     w1.tag.c1 score of isthmus: 5 (at least 5 × the best)',
      'MISSED w1.tag.c1 score of isthmus: 10 (at least 10.5 × slow)',
      'ok     w1.tag.c1 cpu of isthmus: 8 (at least 8 × the best)',
      'MISSED w1.tag.c1 p99 of isthmus: 4 (at least 4.5 × the best)',
      'ok     w5.push score of isthmus-fsync-off: 3 (at least 3 × the best)',
      'MISSED w5.push score of isthmus: – (at least 0.1 × fast)',
      '3 of 6 goals missed',
    ]);
    assert.equal(missed, 3);
  });

  it('may be bounds, and be optional where nothing was measured', () => {
    const { lines, missed } = judge(COMPARISON, {
      goals: [
        { workload: 'w5.push', max: 60 },
        { workload: 'w1.tag.c1', metric: 'cpu', max: 49 },
        { workload: 'v1c.push', max: 95, optional: true },
        { workload: 'v1b.pull', max: 13 },
      ],
    });
    assert.deepEqual(lines, [
      'ok     w5.push score of isthmus: 60 (at most 60 ms)',
      'MISSED w1.tag.c1 cpu of isthmus: 50 (at most 49 µs)',
      'MISSED v1b.pull score of isthmus: – (at most 13)',
      '2 of 3 goals missed',
    ]);
    assert.equal(missed, 2);
  });

  it('have one subject and one other for all that name none, as those of other benchmarks do', () => {
    const goals = { subject: 'fast', versus: 'slow', goals: [{ workload: 'w1.tag.c1', min: 2 }] };
    assert.equal(judge(COMPARISON, goals).missed, 0);
  });

  it('of this project are about workloads that exist', () => {
    const { goals } = readGoals(join(HOME, 'bench/goals.json'));
    const ids = [
      ...WORKLOADS.flatMap(({ id, memory }) => (memory ? [id, `${id}.rss`] : [id])),
      ...Object.values(STARTS).map(({ id }) => id),
    ];
    const rows = ids.map((id) => ({ id, title: id, kind: 'time' as const, results: {} }));
    for (const goal of goals) {
      const only = { goals: [{ ...goal, optional: false }] };
      const { lines } = judge({ ...COMPARISON, rows }, only);
      assert.ok(!lines[0]?.includes(` ${goal.workload} `) || ids.includes(goal.workload), lines[0]);
    }
  });

  it('are refused when the file holds none', () => {
    const file = join(folder, 'goals.json');
    writeFileSync(file, '{}');
    assert.throws(() => readGoals(file), /has no list of goals/);
    writeFileSync(file, '{"goals":[{"workload":"w1"}]}');
    assert.throws(
      () => readGoals(file),
      /a goal needs "workload", and "min" or "max": \{"workload"/,
    );
  });
});
