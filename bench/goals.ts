import { readFileSync } from 'node:fs';
import type { Comparison, Row } from './compare.ts';
import { figure } from './numbers.ts';
import { OURS } from './own-server.ts';
import type { Summary } from './summary.ts';
import { lessIsBetter, UNITS } from './workloads/workload.ts';

/** What is compared: the figure of the table, processor time for each operation, or the 99th of 100 latencies. */
type Metric = 'score' | 'cpu' | 'p99';

interface Goal {
  /** An id, where `*` stands for anything. */
  workload: string;
  /** Whose goal it is; ours in its usual form otherwise. */
  subject?: string;
  /** Whom it is measured against; the best of the peers otherwise. */
  versus?: string;
  metric?: Metric;
  /** So many times as good as the other, at least; above 1 is better, also where less is. */
  min?: number;
  /** At most so much, in the unit of the workload, in µs for `cpu` or in ms for `p99`. */
  max?: number;
  /** Not missed where there is nothing to compare. */
  optional?: boolean;
}

/** What a file of goals holds; `subject` and `versus` are those of all goals that name none. */
export interface Goals {
  subject?: string;
  versus?: string;
  goals: Goal[];
}

export interface Verdict {
  lines: string[];
  missed: number;
}

/** Reads a file of goals, such as bench/goals.json. Throws with what is wrong in it. */
export function readGoals(file: string): Goals {
  const { goals, ...others }: Partial<Goals> = JSON.parse(readFileSync(file, 'utf8'));
  if (!Array.isArray(goals)) throw new Error(`${file} has no list of goals`);
  for (const goal of goals) {
    if (typeof goal.workload === 'string' && (goal.min ?? goal.max) !== undefined) continue;
    throw new Error(
      `${file}: a goal needs "workload", and "min" or "max": ${JSON.stringify(goal)}`,
    );
  }
  return { ...others, goals };
}

/** Which goals a comparison meets. */
export function judge(comparison: Comparison, { goals, ...others }: Goals): Verdict {
  const lines: string[] = [];
  let missed = 0;
  let judged = 0;
  for (const each of goals) {
    const goal = { ...others, ...each };
    for (const { id, value, wanted } of outcomes(comparison, goal)) {
      if (value === undefined && goal.optional) continue;
      judged += 1;
      const met = value !== undefined && holds(goal, value);
      if (!met) missed += 1;
      const [subject, metric] = [goal.subject ?? OURS, goal.metric ?? 'score'];
      const about = `${id} ${metric} of ${subject}`;
      lines.push(`${met ? 'ok    ' : 'MISSED'} ${about}: ${figure(value)} (${wanted})`);
    }
  }
  lines.push(missed ? `${missed} of ${judged} goals missed` : `all ${judged} goals met`);
  return { lines, missed };
}

const holds = ({ min, max }: Goal, value: number) =>
  min === undefined ? value <= (max ?? 0) : value >= min;

/** What came of a goal in each workload that it is about. */
function* outcomes(comparison: Comparison, goal: Goal) {
  const { workload, subject = OURS, versus, metric = 'score', min, max } = goal;
  const rows = comparison.rows.filter(({ id }) => matches(workload, id));
  const against = versus ?? 'the best';
  const wanted = min === undefined ? `at most ${max}` : `at least ${min} × ${against}`;
  if (rows.length === 0) yield { id: workload, value: undefined, wanted };
  for (const row of rows) {
    const ours = figureOf(row.results[subject], metric);
    const less = metric !== 'score' || lessIsBetter(row.kind);
    const value = min === undefined ? ours : times(ours, theirs(comparison, row, goal), less);
    const unit = { score: UNITS[row.kind], cpu: 'µs', p99: 'ms' }[metric];
    yield { id: row.id, value, wanted: min === undefined ? `${wanted} ${unit}` : wanted };
  }
}

function matches(pattern: string, id: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(id);
}

/** The figure of the peer that a goal is about, or of the best. */
function theirs(
  { targets, ours }: Comparison,
  { kind, results }: Row,
  { versus, metric = 'score' }: Goal,
): number | undefined {
  if (versus !== undefined) return figureOf(results[versus], metric);
  const peers = targets.filter((name) => !ours.includes(name));
  const values = peers.flatMap((name) => figureOf(results[name], metric) ?? []);
  if (values.length === 0) return undefined;
  const less = metric !== 'score' || lessIsBetter(kind);
  return less ? Math.min(...values) : Math.max(...values);
}

const times = (ours: number | undefined, theirs: number | undefined, less: boolean) =>
  ours === undefined || theirs === undefined ? undefined : less ? theirs / ours : ours / theirs;

function figureOf(summary: Summary | undefined, metric: Metric): number | undefined {
  if (!summary || summary.failure !== undefined) return undefined;
  return { score: summary.score, cpu: summary.cpuMicros, p99: summary.p99 }[metric];
}
