import { unquote } from './go-string.ts';

/** A document that Go's encoding/json would refuse: malformed, or of the wrong type (bridge.md 9). */
export class JsonError extends Error {
  constructor(message: string, at?: number) {
    super(at === undefined ? message : `${message} at byte ${at}`);
    this.name = 'JsonError';
  }
}

/** A value inside a checked document: `bytes[start]` to `bytes[end - 1]`, without space around it. */
export interface JsonSpan {
  bytes: Buffer;
  start: number;
  end: number;
}

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

/** Go refuses documents that nest deeper. */
const MAX_DEPTH = 10_000;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;

/** The one value of a strictly checked document (no BOM, no trailing data); throws JsonError. */
export function parseJson(bytes: Buffer): JsonSpan {
  const start = skipSpace(bytes, 0);
  const end = checkValue(bytes, start);
  const rest = skipSpace(bytes, end);
  if (rest !== bytes.length) throw new JsonError('unexpected data after the value', rest);
  return { bytes, start, end };
}

export function kindOf(span: JsonSpan): JsonKind {
  switch (span.bytes[span.start]) {
    case OPEN_OBJECT:
      return 'object';
    case OPEN_ARRAY:
      return 'array';
    case QUOTE:
      return 'string';
    case 0x6e:
      return 'null';
    case 0x74:
    case 0x66:
      return 'boolean';
    default:
      return 'number';
  }
}

/** The members of a checked object in their order, keys decoded, repeated keys included. */
export function* membersOf(object: JsonSpan): Generator<[key: string, value: JsonSpan]> {
  const { bytes } = object;
  let at = skipSpace(bytes, object.start + 1);
  while (bytes[at] !== CLOSE_OBJECT) {
    const keyEnd = endOfString(bytes, at);
    const key = unquote(bytes, at, keyEnd);
    const start = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1);
    const end = endOfValue(bytes, start);
    yield [key, { bytes, start, end }];
    at = skipSpace(bytes, end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
}

/** The elements of a checked array. */
export function* elementsOf(array: JsonSpan): Generator<JsonSpan> {
  const { bytes } = array;
  let at = skipSpace(bytes, array.start + 1);
  while (bytes[at] !== CLOSE_ARRAY) {
    const end = endOfValue(bytes, at);
    yield { bytes, start: at, end };
    at = skipSpace(bytes, end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (isSpace(bytes[at])) at++;
  return at;
}

export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The end of a checked string, which cannot be malformed. */
function endOfString(bytes: Buffer, start: number): number {
  let at = start + 1;
  while (bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** The end of a checked value: only brackets and strings need a look. */
function endOfValue(bytes: Buffer, start: number): number {
  let depth = 0;
  let at = start;
  for (;;) {
    const byte = bytes[at];
    if (byte === QUOTE) at = endOfString(bytes, at);
    else {
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
      else if (depth === 0) return endOfScalar(bytes, at);
      at++;
    }
    if (depth === 0) return at;
  }
}

function endOfScalar(bytes: Buffer, start: number): number {
  let at = start;
  for (; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || isSpace(byte)) break;
  }
  return at;
}

/** Checks one value without recursion, since its depth is the sender's choice; gives its end. */
function checkValue(bytes: Buffer, start: number): number {
  const open: number[] = [];
  let at = start;
  for (;;) {
    const byte = bytes[at];
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      open.push(byte);
      if (open.length > MAX_DEPTH) throw new JsonError('nested too deeply', at);
      at = skipSpace(bytes, at + 1);
      if (bytes[at] !== (byte === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY)) {
        if (byte === OPEN_OBJECT) at = checkKey(bytes, at);
        continue;
      }
      open.pop();
      at++;
    } else at = checkScalar(bytes, at);
    // A value has ended: close what it closes, or go on to the next one.
    for (;;) {
      const container = open.at(-1);
      if (container === undefined) return at;
      at = skipSpace(bytes, at);
      if (bytes[at] === COMMA) {
        at = skipSpace(bytes, at + 1);
        if (container === OPEN_OBJECT) at = checkKey(bytes, at);
        break;
      }
      if (bytes[at] !== (container === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY)) {
        throw unexpected(bytes, at);
      }
      open.pop();
      at++;
    }
  }
}

/** Checks `"key" :` and gives the start of the value behind it. */
function checkKey(bytes: Buffer, start: number): number {
  if (bytes[start] !== QUOTE) throw unexpected(bytes, start);
  const colon = skipSpace(bytes, checkString(bytes, start));
  if (bytes[colon] !== COLON) throw unexpected(bytes, colon);
  return skipSpace(bytes, colon + 1);
}

function checkScalar(bytes: Buffer, start: number): number {
  const byte = bytes[start];
  if (byte === QUOTE) return checkString(bytes, start);
  if (byte === MINUS || isDigit(byte)) return checkNumber(bytes, start);
  for (const literal of ['true', 'false', 'null']) {
    const end = start + literal.length;
    if (bytes.toString('latin1', start, end) === literal) return end;
  }
  throw unexpected(bytes, start);
}

function checkString(bytes: Buffer, start: number): number {
  let at = start + 1;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || byte < 0x20) throw unexpected(bytes, at);
    if (byte === QUOTE) return at + 1;
    at = byte === BACKSLASH ? checkEscape(bytes, at) : at + 1;
  }
}

function checkEscape(bytes: Buffer, start: number): number {
  const letter = String.fromCharCode(bytes[start + 1] ?? 0);
  if ('"\\/bfnrt'.includes(letter)) return start + 2;
  if (letter === 'u' && /^[0-9a-fA-F]{4}$/.test(bytes.toString('latin1', start + 2, start + 6))) {
    return start + 6;
  }
  throw new JsonError('invalid escape in a string', start);
}

function checkNumber(bytes: Buffer, start: number): number {
  let at = bytes[start] === MINUS ? start + 1 : start;
  at = bytes[at] === ZERO ? at + 1 : checkDigits(bytes, at);
  if (bytes[at] === 0x2e) at = checkDigits(bytes, at + 1);
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    const sign = bytes[at + 1];
    at = checkDigits(bytes, sign === 0x2b || sign === MINUS ? at + 2 : at + 1);
  }
  return at;
}

function checkDigits(bytes: Buffer, start: number): number {
  if (!isDigit(bytes[start])) throw unexpected(bytes, start);
  let at = start + 1;
  while (isDigit(bytes[at])) at++;
  return at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= 0x39;
}

function unexpected(bytes: Buffer, at: number): JsonError {
  if (at >= bytes.length) return new JsonError('unexpected end of JSON');
  return new JsonError(
    `invalid character ${JSON.stringify(bytes.toString('latin1', at, at + 1))}`,
    at,
  );
}
