import { compareUtf8, quote, unquote } from './go-string.ts';
import { canonicalTime, ZERO_TIME } from './go-time.ts';
import { elementsOf, JsonError, type JsonSpan, kindOf, membersOf } from './json-scanner.ts';

/** How Go's encoding/json reads and writes one type (bridge.md 9.2). */
export interface GoType<T> {
  readonly zero: T;
  /** The value after reading `span` into a variable that held `previous`; throws JsonError for another type. */
  decode(span: JsonSpan, previous: T): T;
  encode(value: T): string;
  /** Whether `omitempty` leaves it out. */
  isEmpty(value: T): boolean;
}

/** A field under its name in JSON; `omitEmpty` leaves it out when it is empty. */
export interface GoField<T> {
  name: string;
  type: GoType<T>;
  omitEmpty: boolean;
}

function wrongType(span: JsonSpan, wanted: string): JsonError {
  return new JsonError(`expected ${wanted}, found ${kindOf(span)}`, span.start);
}

function textOf(span: JsonSpan): string {
  return unquote(span.bytes, span.start, span.end);
}

export const goString: GoType<string> = {
  zero: '',
  decode(span, previous) {
    const kind = kindOf(span);
    if (kind === 'null') return previous;
    if (kind !== 'string') throw wrongType(span, 'a string');
    return textOf(span);
  },
  encode: quote,
  isEmpty: (value) => value === '',
};

export const goBool: GoType<boolean> = {
  zero: false,
  decode(span, previous) {
    const kind = kindOf(span);
    if (kind === 'null') return previous;
    if (kind !== 'boolean') throw wrongType(span, 'a boolean');
    return span.bytes[span.start] === 0x74;
  },
  encode: String,
  isEmpty: (value) => !value,
};

export const goInt64: GoType<bigint> = {
  zero: 0n,
  decode(span, previous) {
    const kind = kindOf(span);
    if (kind === 'null') return previous;
    if (kind !== 'number') throw wrongType(span, 'an integer');
    const text = span.bytes.toString('latin1', span.start, span.end);
    // The length first: BigInt needs seconds for a number of some million digits.
    if (
      text.length > 20 ||
      !/^-?\d+$/.test(text) ||
      BigInt.asIntN(64, BigInt(text)) !== BigInt(text)
    ) {
      throw new JsonError('expected a 64-bit integer', span.start);
    }
    return BigInt(text);
  },
  encode: String,
  isEmpty: (value) => value === 0n,
};

/** A time, kept as the text in which Go writes it. */
export const goTime: GoType<string> = {
  zero: ZERO_TIME,
  decode(span, previous) {
    const kind = kindOf(span);
    if (kind === 'null') return previous;
    if (kind !== 'string') throw wrongType(span, 'a time');
    // Go parses the bytes between the quotes as they stand, escapes are not resolved.
    return canonicalTime(span.bytes.toString('latin1', span.start + 1, span.end - 1));
  },
  encode: quote,
  isEmpty: () => false,
};

/** A list; an element that is null is the element type's zero. A repeated list replaces the first. */
export function goList<T>(type: GoType<T>): GoType<readonly T[] | null> {
  return {
    zero: null,
    decode(span) {
      const kind = kindOf(span);
      if (kind === 'null') return null;
      if (kind !== 'array') throw wrongType(span, 'a list');
      return Array.from(elementsOf(span), (element) => type.decode(element, type.zero));
    },
    encode: (value) =>
      value === null ? 'null' : `[${value.map((item) => type.encode(item)).join(',')}]`,
    isEmpty: (value) => value === null || value.length === 0,
  };
}

export const goStrings = goList(goString);

/** docker's strslice: a list of strings, or one string that stands for a list of one. */
export const goStrSlice: GoType<readonly string[] | null> = {
  ...goStrings,
  decode: (span) => (kindOf(span) === 'string' ? [textOf(span)] : goStrings.decode(span, null)),
};

/** A map; repeated keys and repeated maps merge. Written in the order of the keys' UTF-8 bytes. */
function goMap<T>(type: GoType<T>): GoType<ReadonlyMap<string, T> | null> {
  return {
    zero: null,
    decode(span, previous) {
      const kind = kindOf(span);
      if (kind === 'null') return null;
      if (kind !== 'object') throw wrongType(span, 'an object');
      const map = new Map(previous);
      for (const [key, value] of membersOf(span)) map.set(key, type.decode(value, type.zero));
      return map;
    },
    encode(value) {
      if (value === null) return 'null';
      const entries = [...value].sort(([a], [b]) => compareUtf8(a, b));
      return `{${entries.map(([key, item]) => `${quote(key)}:${type.encode(item)}`).join(',')}}`;
    },
    isEmpty: (value) => value === null || value.size === 0,
  };
}

export const goStringMap = goMap(goString);

/** A map whose values say nothing: each is an object or null, and is written `{}`. */
export const goSet = goMap<true>({
  zero: true,
  decode(span) {
    const kind = kindOf(span);
    if (kind !== 'object' && kind !== 'null') throw wrongType(span, 'an empty object');
    return true;
  },
  encode: () => '{}',
  isEmpty: () => false,
});

/** A pointer: absent and null are undefined, and only they are empty. */
export function goPointer<T>(type: GoType<T>): GoType<T | undefined> {
  return {
    zero: undefined,
    decode: (span, previous) =>
      kindOf(span) === 'null' ? undefined : type.decode(span, previous ?? type.zero),
    encode: (value) => (value === undefined ? 'null' : type.encode(value)),
    isEmpty: (value) => value === undefined,
  };
}

export function always<T>(name: string, type: GoType<T>): GoField<T> {
  return { name, type, omitEmpty: false };
}

export function unlessEmpty<T>(name: string, type: GoType<T>): GoField<T> {
  return { name, type, omitEmpty: true };
}

/** A struct, its fields in the order in which Go writes them. Unknown keys vanish. */
export function goStruct<T extends object>(
  fields: {
    [K in keyof T]-?: GoField<T[K]>;
  },
): GoType<T> {
  const entries = Object.entries(fields) as [keyof T, GoField<T[keyof T]>][];
  const byName = new Map(entries.map((entry) => [fold(entry[1].name), entry]));
  const zero = Object.fromEntries(entries.map(([key, field]) => [key, field.type.zero])) as T;
  return {
    zero,
    decode(span, previous) {
      const kind = kindOf(span);
      if (kind === 'null') return previous;
      if (kind !== 'object') throw wrongType(span, 'an object');
      const struct = { ...previous };
      for (const [name, value] of membersOf(span)) {
        const entry = byName.get(fold(name));
        if (entry) struct[entry[0]] = entry[1].type.decode(value, struct[entry[0]]);
      }
      return struct;
    },
    encode(value) {
      const members = entries.flatMap(([key, { name, type, omitEmpty }]) =>
        omitEmpty && type.isEmpty(value[key]) ? [] : [`${quote(name)}:${type.encode(value[key])}`],
      );
      return `{${members.join(',')}}`;
    },
    isEmpty: () => false,
  };
}

/** Go compares keys without regard to case; U+017F and U+212A fold to s and k there. */
function fold(name: string): string {
  return name
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
