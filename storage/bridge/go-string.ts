import { isUtf8 } from 'node:buffer';

/** What Go decodes an invalid UTF-8 byte or a lone surrogate to. */
const REPLACEMENT = '\ufffd';

const ESCAPES: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that JSON must escape
const TO_ESCAPE = /["\\\u0000-\u001f<>&\u2028\u2029]/g;

/** The text as a JSON string, as Go writes it (bridge.md 9.3). */
export function quote(text: string): string {
  return `"${text.replace(TO_ESCAPE, escapeCharacter)}"`;
}

/** Raw bytes as a JSON string: each byte that is no UTF-8 becomes the six characters `\ufffd` (9.3). */
export function quoteBytes(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return quote(Buffer.from(bytes).toString());
  // A U+FFFD that was there keeps its bytes; only what could not be read is written as an escape.
  const pieces = decodePieces(bytes).map((piece) =>
    piece === undefined ? '\\ufffd' : quote(piece).slice(1, -1),
  );
  return `"${pieces.join('')}"`;
}

function escapeCharacter(character: string): string {
  return ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The text of UTF-8 bytes, with one U+FFFD for each invalid byte, as Go reads them. */
export function decodeUtf8(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  return decodePieces(bytes)
    .map((piece) => piece ?? REPLACEMENT)
    .join('');
}

/** Runs of valid UTF-8, and undefined for each invalid byte. */
function decodePieces(bytes: Uint8Array): (string | undefined)[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces: (string | undefined)[] = [];
  let start = 0;
  for (let at = 0; at < buffer.length; ) {
    const width = widthOfRune(buffer, at);
    if (width > 0) {
      at += width;
      continue;
    }
    if (at > start) pieces.push(buffer.toString('utf8', start, at));
    pieces.push(undefined);
    start = ++at;
  }
  if (start < buffer.length) pieces.push(buffer.toString('utf8', start, buffer.length));
  return pieces;
}

/** Bytes of the well-formed character at `at`, or 0. */
function widthOfRune(buffer: Buffer, at: number): number {
  const lead = buffer[at] ?? 0;
  if (lead < 0x80) return 1;
  const width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  return at + width <= buffer.length && isUtf8(buffer.subarray(at, at + width)) ? width : 0;
}

const UNESCAPES: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** The text of the checked JSON string from `start` (its quote) to `end`; lone surrogates become U+FFFD. */
export function unquote(bytes: Buffer, start: number, end: number): string {
  const text = decodeUtf8(bytes.subarray(start + 1, end - 1));
  if (!text.includes('\\')) return text;
  const units = text.replace(
    /\\(?:u([0-9a-fA-F]{4})|(.))/g,
    (_match, hex: string | undefined, letter: string) =>
      hex === undefined
        ? (UNESCAPES[letter] ?? letter)
        : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  // The way through UTF-8 turns lone surrogates into U+FFFD.
  return Buffer.from(units).toString();
}

/** Orders strings by their UTF-8 bytes, as Go sorts keys; JavaScript's own order is that of UTF-16. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for characters past U+FFFF, so they come after all others. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
