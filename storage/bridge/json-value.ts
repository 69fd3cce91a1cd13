import { unquote } from './go-string.ts';
import {
  elementsOf,
  JsonError,
  type JsonSpan,
  kindOf,
  membersOf,
  parseJson,
} from './json-scanner.ts';

/** What we look into is flat; deeper nesting would only cost stack. */
const MAX_DEPTH = 64;

/**
 * A strictly read document as plain values; the last of equal keys wins. Instead of JSON.parse, which on Node 24 can
 * read an escaped key as another one (nodejs/node#63785). Throws JsonError.
 */
export function jsonValue(bytes: Buffer): unknown {
  return plainValue(parseJson(bytes), 0);
}

function plainValue(span: JsonSpan, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new JsonError('nested too deeply', span.start);
  switch (kindOf(span)) {
    case 'object':
      // fromEntries defines own properties, so a key __proto__ is a key like any other.
      return Object.fromEntries(
        Array.from(membersOf(span), ([key, value]) => [key, plainValue(value, depth + 1)]),
      );
    case 'array':
      return Array.from(elementsOf(span), (element) => plainValue(element, depth + 1));
    case 'string':
      return unquote(span.bytes, span.start, span.end);
    case 'number':
      return Number(span.bytes.toString('latin1', span.start, span.end));
    case 'boolean':
      return span.bytes[span.start] === 0x74;
    case 'null':
      return null;
  }
}
