export type MetricType = 'counter' | 'gauge' | 'histogram';

/** How values of several processes become one. */
export type Merge = 'sum' | 'max' | 'min';

/** Label values in the order of the family's names, and the numbers. */
export interface Series {
  labels: readonly string[];
  /** One value; of a histogram a count for each bucket (not cumulated), one for what is above all, and the sum. */
  values: number[];
}

/** All series of one name, as plain data that can be sent between processes. */
export interface Family {
  name: string;
  help: string;
  type: MetricType;
  labelNames: readonly string[];
  merge: Merge;
  /** Upper bounds of a histogram's buckets, without +Inf; else empty. */
  bounds: readonly number[];
  series: Series[];
}

export type Snapshot = Family[];

/** One snapshot of several processes' snapshots. */
export function mergeSnapshots(snapshots: readonly Snapshot[]): Snapshot {
  const families = new Map<string, { family: Family; series: Map<string, Series> }>();
  for (const family of snapshots.flat()) {
    let merged = families.get(family.name);
    if (merged === undefined) {
      merged = { family: { ...family, series: [] }, series: new Map() };
      families.set(family.name, merged);
    }
    for (const { labels, values } of family.series) {
      const key = labels.join('\0');
      const known = merged.series.get(key);
      if (known === undefined) merged.series.set(key, { labels, values: [...values] });
      else known.values = known.values.map((value, n) => join(family.merge, value, values[n] ?? 0));
    }
  }
  return [...families.values()].map(({ family, series }) => ({
    ...family,
    series: [...series.values()],
  }));
}

function join(merge: Merge, a: number, b: number): number {
  if (merge === 'max') return Math.max(a, b);
  return merge === 'min' ? Math.min(a, b) : a + b;
}

/** What must outlive a process that ended: counters and histograms never go back. */
export function lastingPart(snapshot: Snapshot): Snapshot {
  return snapshot.filter(({ type }) => type !== 'gauge');
}

/** The text that Prometheus reads (exposition format 0.0.4). */
export function prometheusText(snapshot: Snapshot): string {
  return snapshot
    .filter(({ series }) => series.length > 0)
    .map((family) => {
      const head = `# HELP ${family.name} ${escapeHelp(family.help)}\n# TYPE ${family.name} ${family.type}\n`;
      return head + family.series.map((series) => seriesText(family, series)).join('');
    })
    .join('');
}

function seriesText(family: Family, { labels, values }: Series): string {
  const { name, labelNames, bounds } = family;
  const pairs = labelNames.map((label, n) => `${label}="${escapeLabel(labels[n] ?? '')}"`);
  if (family.type !== 'histogram') return `${name}${braced(pairs)} ${numberText(values[0] ?? 0)}\n`;
  let cumulated = 0;
  let text = '';
  for (const [n, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    cumulated += values[n] ?? 0;
    text += `${name}_bucket${braced([...pairs, `le="${numberText(bound)}"`])} ${cumulated}\n`;
  }
  const sum = numberText(values[bounds.length + 1] ?? 0);
  return `${text}${name}_sum${braced(pairs)} ${sum}\n${name}_count${braced(pairs)} ${cumulated}\n`;
}

function braced(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
