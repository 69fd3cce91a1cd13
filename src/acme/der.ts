/*
 * The few forms of ASN.1 that certificate requests are made of, written in DER (X.690). Each function gives one whole
 * value: tag, length, content.
 */

function tagged(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

export const sequence = (...values: Uint8Array[]): Buffer => tagged(0x30, ...values);

/** A set of one value; more would have to be sorted. */
export const setOf = (value: Uint8Array): Buffer => tagged(0x31, value);

/** `value` under the context-specific tag `[number]`, constructed: what an explicit tag is, or an implicit sequence. */
export const constructed = (number: number, value: Uint8Array): Buffer =>
  tagged(0xa0 | number, value);

/** `content` under the context-specific tag `[number]`, primitive: an implicit string. */
export const primitive = (number: number, content: Uint8Array): Buffer =>
  tagged(0x80 | number, content);

/** A whole number that is not negative, from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.from([0]) : Buffer.from(bytes.subarray(first));
  // A first bit of 1 would make it negative.
  return ((digits[0] ?? 0) & 0x80) === 0
    ? tagged(0x02, digits)
    : tagged(0x02, Buffer.from([0]), digits);
}

export const octetString = (content: Uint8Array): Buffer => tagged(0x04, content);

/** Bits in whole bytes. */
export const bitString = (content: Uint8Array): Buffer => tagged(0x03, Buffer.from([0]), content);

export const utf8String = (text: string): Buffer => tagged(0x0c, Buffer.from(text));

export const TRUE = Buffer.from([0x01, 0x01, 0xff]);

/** An object identifier such as `2.5.29.17`. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(arc: number): number[] {
  const bytes = [arc % 128];
  for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
    bytes.unshift(0x80 | (left % 128));
  return bytes;
}

/** A moment, to the second: UTCTime up to 2049, GeneralizedTime after (RFC 5280 4.1.2.5). */
export function time(moment: Date): Buffer {
  const digits = `${moment
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/\D/g, '')}Z`;
  return moment.getUTCFullYear() < 2050
    ? tagged(0x17, Buffer.from(digits.slice(2)))
    : tagged(0x18, Buffer.from(digits));
}
