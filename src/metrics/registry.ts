import type { Family, Merge, MetricType, Series, Snapshot } from './snapshot.ts';

/** Seconds; Prometheus' own default. */
export const DURATION_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Bytes: 1 KiB to 2 GiB. */
export const SIZE_BOUNDS = Array.from({ length: 22 }, (_, n) => 1024 * 2 ** n);

/** One number with its labels; held by whoever counts, so that counting is one addition. */
export class Value {
  readonly #series: Series;

  constructor(series: Series) {
    this.#series = series;
  }

  add(amount = 1): void {
    this.#series.values[0] = (this.#series.values[0] ?? 0) + amount;
  }

  set(value: number): void {
    this.#series.values[0] = value;
  }
}

/** One histogram with its labels. */
export class Histogram {
  readonly #values: number[];
  readonly #bounds: readonly number[];

  constructor(series: Series, bounds: readonly number[]) {
    this.#values = series.values;
    this.#bounds = bounds;
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1;
    const values = this.#values;
    values[bucket] = (values[bucket] ?? 0) + 1;
    values[bounds.length + 1] = (values[bounds.length + 1] ?? 0) + value;
  }
}

/** A name with its labels yet open: `with` gives the number for their values, always the same object. */
export interface Labelled<T> {
  with(...labels: string[]): T;
}

/** All metrics of this process. */
export class MetricRegistry {
  readonly #families: Family[] = [];
  readonly #collectors: (() => void | Promise<void>)[] = [];

  counter(name: string, help: string, labelNames: readonly string[] = []): Labelled<Value> {
    return this.#labelled(this.#add('counter', name, help, labelNames, 'sum', []));
  }

  gauge(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
    merge: Merge = 'sum',
  ): Labelled<Value> {
    return this.#labelled(this.#add('gauge', name, help, labelNames, merge, []));
  }

  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    bounds: readonly number[],
  ): Labelled<Histogram> {
    const family = this.#add('histogram', name, help, labelNames, 'sum', bounds);
    return memoized(
      family,
      (series) => new Histogram(series, bounds),
      () => new Array<number>(bounds.length + 2).fill(0),
    );
  }

  /** Has `collect` called before each look, for numbers that are asked for rather than counted. */
  onCollect(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  /** All numbers as they are now. A collector that fails leaves its old numbers. */
  async snapshot(): Promise<Snapshot> {
    await Promise.allSettled(this.#collectors.map(async (collect) => collect()));
    return structuredClone(this.#families);
  }

  #add(
    type: MetricType,
    name: string,
    help: string,
    labelNames: readonly string[],
    merge: Merge,
    bounds: readonly number[],
  ): Family {
    if (this.#families.some((family) => family.name === name))
      throw new Error(`the metric ${name} exists already`);
    const family: Family = { name, help, type, labelNames, merge, bounds, series: [] };
    this.#families.push(family);
    return family;
  }

  #labelled(family: Family): Labelled<Value> {
    return memoized(
      family,
      (series) => new Value(series),
      () => [0],
    );
  }
}

function memoized<T>(
  family: Family,
  make: (series: Series) => T,
  zeros: () => number[],
): Labelled<T> {
  const known = new Map<string, T>();
  return {
    with(...labels) {
      const key = labels.join('\0');
      let value = known.get(key);
      if (value === undefined) {
        const series = { labels, values: zeros() };
        family.series.push(series);
        value = make(series);
        known.set(key, value);
      }
      return value;
    },
  };
}
