import { compareUtf8, quote } from './go-string.ts';
import { isSpace, JsonError, type JsonSpan, kindOf, membersOf, parseJson } from './json-scanner.ts';

/**
 * A JSON object of which only the top level is taken apart; the values keep their bytes, compacted (bridge.md 9.1).
 * This is docker's map of raw messages: numbers past 2^53, odd spellings and nested order survive it.
 */
export class RawMap {
  readonly #values = new Map<string, Buffer>();

  /** Throws JsonError for anything but a strict JSON object. */
  static parse(bytes: Buffer): RawMap {
    return RawMap.of(parseJson(bytes));
  }

  static of(span: JsonSpan): RawMap {
    if (kindOf(span) !== 'object') throw new JsonError('the JSON value must be an object');
    const map = new RawMap();
    for (const [key, value] of membersOf(span)) map.#values.set(key, compact(value));
    return map;
  }

  /** The compacted bytes of a value. */
  get(key: string): Buffer | undefined {
    return this.#values.get(key);
  }

  /** Sets a value that is already canonical JSON. */
  set(key: string, json: Buffer | string): void {
    this.#values.set(key, Buffer.from(json));
  }

  delete(key: string): void {
    this.#values.delete(key);
  }

  /** Keys in the order of their UTF-8 bytes, no white space. */
  encode(): Buffer {
    const parts: Buffer[] = [];
    for (const key of [...this.#values.keys()].sort(compareUtf8)) {
      parts.push(Buffer.from(`${parts.length === 0 ? '{' : ','}${quote(key)}:`));
      parts.push(this.#values.get(key) as Buffer);
    }
    parts.push(Buffer.from(parts.length === 0 ? '{}' : '}'));
    return Buffer.concat(parts);
  }
}

/** A document as docker's raw map writes it again; `null` stays `null`. Throws JsonError. */
export function canonicalJson(bytes: Buffer): Buffer {
  const span = parseJson(bytes);
  return kindOf(span) === 'null' ? Buffer.from('null') : RawMap.of(span).encode();
}

/** The value without space outside strings, and with `<` `>` `&` U+2028 U+2029 escaped. */
function compact(span: JsonSpan): Buffer {
  const { bytes } = span;
  const parts: Buffer[] = [];
  let kept = span.start;
  let inString = false;
  const replace = (at: number, width: number, text: string) => {
    parts.push(bytes.subarray(kept, at), Buffer.from(text));
    kept = at + width;
  };
  for (let at = span.start; at < span.end; at++) {
    const byte = bytes[at];
    if (byte === 0x22) inString = !inString;
    else if (!inString) {
      if (isSpace(byte)) replace(at, 1, '');
    } else if (byte === 0x5c) at++;
    else if (byte === 0x3c || byte === 0x3e || byte === 0x26) {
      replace(at, 1, `\\u00${byte.toString(16)}`);
    } else if (byte === 0xe2 && bytes[at + 1] === 0x80 && ((bytes[at + 2] ?? 0) & 0xfe) === 0xa8) {
      replace(at, 3, bytes[at + 2] === 0xa8 ? '\\u2028' : '\\u2029');
      at += 2;
    }
  }
  parts.push(bytes.subarray(kept, span.end));
  return Buffer.concat(parts);
}
