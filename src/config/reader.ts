import type { Findings, Origin } from './findings.ts';
import {
  type ListenAddress,
  parseAddress,
  parseBoolean,
  parseBytes,
  parseDuration,
  parseInteger,
} from './scalars.ts';
import { didYouMean } from './suggest.ts';
import { isNull, type MapNode, normalizeKey, type ScalarNode, type TreeNode } from './tree.ts';

export interface ReadingRules {
  findings: Findings;
  /** Seconds that a duration without a unit counts in: 1, or 1e-9 where Go wrote the file. */
  bareDurationUnit: number;
  /** Whether a key that nothing reads is a mistake; otherwise it is a warning, as distribution ignores it. */
  strict: boolean;
}

export interface Range {
  min?: number;
  max?: number;
}

/**
 * One map of a configuration, read key by key. Every read notes the key as known, checks its value, and in place of
 * a wrong one reports the mistake and gives the default, so that a single pass finds them all. Keys match whatever
 * their case, `_` and `-`: `maxLayerBytes`, `maxlayerbytes` and `max_layer_bytes` are one key.
 */
export class Section {
  readonly path: string;
  readonly #node: MapNode | undefined;
  readonly #rules: ReadingRules;
  readonly #entries = new Map<string, { key: string; node: TreeNode }>();
  readonly #known = new Map<string, string>();
  readonly #children = new Map<string, Section>();

  constructor(node: MapNode | undefined, path: string, rules: ReadingRules) {
    this.path = path;
    this.#node = node;
    this.#rules = rules;
    for (const [key, value] of node?.entries ?? []) {
      const twin = this.#entries.get(normalizeKey(key));
      if (twin !== undefined) {
        const where = this.#pathOf(key);
        rules.findings.mistake(
          where,
          value.origin,
          `the same key as "${twin.key}"; keep one of them`,
        );
      }
      this.#entries.set(normalizeKey(key), { key, node: value });
    }
  }

  /** Whether the map itself was given. */
  get present(): boolean {
    return this.#node !== undefined;
  }

  get origin(): Origin | undefined {
    return this.#node?.origin;
  }

  /** The keys that were given with a value, as written. */
  keys(): string[] {
    return [...this.#entries.values()].filter(({ node }) => !isNull(node)).map(({ key }) => key);
  }

  /** The node of a key, for values that no method here reads; undefined when absent or null. */
  node(key: string): TreeNode | undefined {
    this.#known.set(normalizeKey(key), key);
    const node = this.#entries.get(normalizeKey(key))?.node;
    return node === undefined || isNull(node) ? undefined : node;
  }

  /** All keys that stand there, with a value or without, as written. */
  written(): string[] {
    return [...this.#entries.values()].map(({ key }) => key);
  }

  /** The map under `key`; an empty one when absent. */
  section(key: string): Section {
    const earlier = this.#children.get(normalizeKey(key));
    if (earlier !== undefined) return earlier;
    const node = this.node(key);
    if (node !== undefined && node.kind !== 'map') {
      this.mistake(key, `expected a map of settings, got ${show(node)}`);
    }
    return this.adopt(node?.kind === 'map' ? node : undefined, key);
  }

  /** A section over a node that was rewritten by the caller, checked for unknown keys with this one. */
  adopt(node: MapNode | undefined, key: string): Section {
    this.#known.set(normalizeKey(key), key);
    const child = new Section(node, this.#pathOf(key), this.#rules);
    this.#children.set(normalizeKey(key), child);
    return child;
  }

  string(key: string): string | undefined;
  string(key: string, fallback: string): string;
  string(key: string, fallback?: string): string | undefined {
    return this.#scalar(key, 'a text', (text) => text) ?? fallback;
  }

  boolean(key: string): boolean | undefined;
  boolean(key: string, fallback: boolean): boolean;
  boolean(key: string, fallback?: boolean): boolean | undefined {
    return this.#scalar(key, 'true or false', parseBoolean) ?? fallback;
  }

  /** True for `{enabled: true}` as well as for a bare `true`, which distribution spells as a map. */
  switch(key: string, fallback: boolean): boolean {
    const node = this.node(key);
    return node?.kind === 'map'
      ? this.section(key).boolean('enabled', fallback)
      : this.boolean(key, fallback);
  }

  integer(key: string, range?: Range): number | undefined;
  integer(key: string, range: Range, fallback: number): number;
  integer(key: string, range: Range = {}, fallback?: number): number | undefined {
    return this.#inRange(key, 'a whole number', parseInteger, range) ?? fallback;
  }

  /** Seconds. */
  duration(key: string): number | undefined;
  duration(key: string, fallback: number): number;
  duration(key: string, fallback?: number): number | undefined {
    const unit = this.#rules.bareDurationUnit;
    const seconds = this.#scalar(key, 'a duration such as 10s, 5m or 1h30m', (text) =>
      parseDuration(text, unit),
    );
    if (seconds !== undefined && seconds > 0 && seconds < 1e-6) {
      this.warning(
        key,
        `a bare number counts nanoseconds here; write a unit, such as ${Math.round(seconds * 1e9)}s`,
      );
    }
    return seconds ?? fallback;
  }

  bytes(key: string, range: Range, fallback: number): number {
    return (
      this.#inRange(key, 'a size in bytes such as 4194304 or 4MiB', parseBytes, range) ?? fallback
    );
  }

  address(key: string): ListenAddress | undefined {
    return this.#scalar(key, 'an address such as :5000 or 127.0.0.1:5000', parseAddress);
  }

  /** An absolute http or https URL, without the slashes at its end. */
  url(key: string): string | undefined {
    return this.#scalar(key, 'a URL such as https://registry.example', (text) => {
      const url = URL.canParse(text) ? new URL(text) : undefined;
      return url?.protocol === 'http:' || url?.protocol === 'https:'
        ? text.replace(/\/+$/, '')
        : undefined;
    });
  }

  /** One of a few words, in any case. */
  choice<Word extends string>(key: string, words: readonly Word[]): Word | undefined;
  choice<Word extends string>(key: string, words: readonly Word[], fallback: Word): Word;
  choice<Word extends string>(
    key: string,
    words: readonly Word[],
    fallback?: Word,
  ): Word | undefined {
    const text = this.string(key);
    if (text === undefined) return fallback;
    const word = words.find((each) => each.toLowerCase() === text.toLowerCase());
    if (word === undefined) {
      this.mistake(
        key,
        `expected one of ${words.join(', ')}, got "${text}"${didYouMean(text, words)}`,
      );
    }
    return word ?? fallback;
  }

  /** A list of texts; a single text counts as a list of one. */
  strings(key: string): string[] | undefined;
  strings(key: string, fallback: string[]): string[];
  strings(key: string, fallback?: string[]): string[] | undefined {
    const node = this.node(key);
    if (node === undefined) return fallback;
    const items = node.kind === 'list' ? node.items : [node];
    const scalars = items.filter((item): item is ScalarNode => item.kind === 'scalar');
    if (scalars.length === items.length) return scalars.map((item) => item.text);
    this.mistake(key, `expected a list of texts such as [a, b], got ${show(node)}`);
    return fallback;
  }

  /** A map of free keys to lists of texts, such as header values. */
  stringLists(key: string): Record<string, string[]> {
    const section = this.section(key);
    return Object.fromEntries(section.keys().map((each) => [each, section.strings(each, [])]));
  }

  /** A map of free keys to texts. */
  stringMap(key: string): Record<string, string> {
    const section = this.section(key);
    return Object.fromEntries(section.keys().map((each) => [each, section.string(each, '')]));
  }

  /** The maps of a list. */
  sections(key: string): Section[] {
    const node = this.node(key);
    if (node === undefined) return [];
    if (node.kind !== 'list') {
      this.mistake(key, `expected a list of maps, got ${show(node)}`);
      return [];
    }
    return node.items.flatMap((item, index) => {
      const place = `${key}[${index}]`;
      if (item.kind === 'map') return [this.adopt(item, place)];
      this.#rules.findings.mistake(
        this.#pathOf(place),
        item.origin,
        `expected a map, got ${show(item)}`,
      );
      return [];
    });
  }

  /** Accepts any value under these keys: they are read elsewhere, or mean nothing here. */
  ignore(...keys: string[]): void {
    for (const key of keys) this.#known.set(normalizeKey(key), key);
  }

  /** Accepts any value under these keys, which have no effect; those that were given are named at start. */
  idle(...keys: string[]): void {
    for (const key of keys)
      if (this.node(key) !== undefined) this.#rules.findings.idle.push(this.#pathOf(key));
  }

  mistake(key: string, message: string): void {
    this.#rules.findings.mistake(this.#pathOf(key), this.#originOf(key), message);
  }

  warning(key: string, message: string): void {
    this.#rules.findings.warning(this.#pathOf(key), this.#originOf(key), message);
  }

  /** Reports the keys that nothing has read, here and below. To be called once, after all reads. */
  finish(): void {
    for (const [normal, { key, node }] of this.#entries) {
      if (this.#known.has(normal)) continue;
      const near = didYouMean(key, this.#known.values());
      if (node.origin.kind === 'environment') {
        this.warning(key, `there is no setting of this name; the variable is ignored${near}`);
      } else if (this.#rules.strict) {
        this.mistake(key, `unknown key${near || this.#listKnown()}`);
      } else {
        this.warning(key, `unknown key, ignored${near}`);
      }
    }
    for (const child of this.#children.values()) child.finish();
  }

  #listKnown(): string {
    const known = [...this.#known.values()].filter((key) => !key.includes('['));
    return known.length > 0 && known.length <= 12 ? `; expected one of ${known.join(', ')}` : '';
  }

  #scalar<T>(key: string, expected: string, parse: (text: string) => T | undefined): T | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    const value = node.kind === 'scalar' ? parse(node.text) : undefined;
    if (value === undefined) this.mistake(key, `expected ${expected}, got ${show(node)}`);
    return value;
  }

  #inRange(
    key: string,
    expected: string,
    parse: (text: string) => number | undefined,
    range: Range,
  ) {
    const value = this.#scalar(key, expected, parse);
    if (value === undefined) return undefined;
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = range;
    if (value >= min && value <= max) return value;
    const bounds = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`;
    this.mistake(key, `expected ${expected}, ${bounds}, got ${value}`);
    return undefined;
  }

  #originOf(key: string): Origin | undefined {
    return this.#entries.get(normalizeKey(key))?.node.origin ?? this.#node?.origin;
  }

  #pathOf(key: string): string {
    if (key === '') return this.path;
    const entry = this.#entries.get(normalizeKey(key));
    const written = entry?.node.writtenAs;
    if (written !== undefined) return written;
    const name = entry?.key ?? key;
    return this.path === '' ? name : `${this.path}.${name}`;
  }
}

function show(node: TreeNode): string {
  if (node.kind !== 'scalar') return `a ${node.kind}`;
  const text = node.text.length > 60 ? `${node.text.slice(0, 60)}…` : node.text;
  return JSON.stringify(text);
}
