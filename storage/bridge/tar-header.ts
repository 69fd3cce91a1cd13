/** One entry of a tar, its texts as byte strings (latin1), since names need not be UTF-8. */
export interface TarHeader {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Whole seconds since the epoch. */
  mtime: number;
  /** The raw character; V7 writes NUL for a file. */
  typeflag: string;
  linkname: string;
  uname: string;
  gname: string;
  devmajor: number;
  devminor: number;
  /** Extended attributes without the prefix `SCHILY.xattr.`. */
  xattrs: Map<string, string>;
}

const XATTR = 'SCHILY.xattr.';
const DEVICES = '34';

/** A header block of 512 bytes, or undefined when it is none: its checksum or a number is wrong. */
export function parseTarHeader(block: Buffer): TarHeader | undefined {
  const number = (start: number, end: number) => parseNumber(block.subarray(start, end));
  const text = (start: number, end: number) => cString(block.toString('latin1', start, end));
  if (!hasChecksum(block, number(148, 156))) return undefined;
  const typeflag = block.toString('latin1', 156, 157);
  const magic = block.toString('latin1', 257, 265);
  const posix = magic.startsWith('ustar\0');
  const extended = posix || magic === 'ustar  \0';
  const device = extended && DEVICES.includes(typeflag);
  const star = block.toString('latin1', 508, 512) === 'tar\0';
  const prefix = posix ? text(345, star ? 476 : 500) : '';
  const name = text(0, 100);
  const header: TarHeader = {
    name: prefix === '' ? name : `${prefix}/${name}`,
    mode: number(100, 108),
    uid: number(108, 116),
    gid: number(116, 124),
    size: number(124, 136),
    mtime: number(136, 148),
    typeflag,
    linkname: text(157, 257),
    uname: extended ? text(265, 297) : '',
    gname: extended ? text(297, 329) : '',
    devmajor: device ? number(329, 337) : 0,
    devminor: device ? number(337, 345) : 0,
    xattrs: new Map(),
  };
  return isSound(header) ? header : undefined;
}

/** What PAX records or GNU long names say about the entry that follows them. */
export type TarOverrides = Map<string, string>;

/** Reads the data of an entry of type x, L or K into `overrides`; false when it is malformed. */
export function readOverrides(typeflag: string, data: Buffer, overrides: TarOverrides): boolean {
  if (typeflag === 'L') overrides.set('path', cString(data.toString('latin1')));
  else if (typeflag === 'K') overrides.set('linkpath', cString(data.toString('latin1')));
  else return readPaxRecords(data.toString('latin1'), overrides);
  return true;
}

/** The header with the overrides applied, or undefined when a number in them is malformed. */
export function overridden(header: TarHeader, overrides: TarOverrides): TarHeader | undefined {
  const result = { ...header };
  for (const [key, value] of overrides) {
    if (key === 'path') result.name = value;
    else if (key === 'linkpath') result.linkname = value;
    else if (key === 'uname' || key === 'gname') result[key] = value;
    else if (key === 'uid' || key === 'gid' || key === 'size') result[key] = Number(value);
    else if (key === 'mtime') result.mtime = Math.floor(Number(value));
    else if (key.startsWith(XATTR)) result.xattrs.set(key.slice(XATTR.length), value);
  }
  return isSound(result) ? result : undefined;
}

/** Records are `<length> <key>=<value>\n`, the length counting itself. */
function readPaxRecords(text: string, overrides: TarOverrides): boolean {
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(' ', at);
    const length = Number(text.slice(at, space));
    const record = text.slice(space + 1, at + length - 1);
    const equals = record.indexOf('=');
    if (space < 0 || !(length > 0) || text[at + length - 1] !== '\n' || equals < 1) return false;
    overrides.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return true;
}

function cString(text: string): string {
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

/** Octal digits, or GNU's base 256; NaN when it is neither. */
function parseNumber(field: Buffer): number {
  const first = field[0] ?? 0;
  if (first & 0x80) {
    // Two's complement: 0xff starts a negative number, 0x80 a positive one.
    let value = first & 0x40 ? (first & 0x7f) - 128 : first & 0x7f;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
    return value;
  }
  const digits = field.toString('latin1').replace(/^[ \0]+|[ \0]+$/g, '');
  if (digits === '') return 0;
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

function hasChecksum(block: Buffer, expected: number): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < 512; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] as number);
    unsigned += byte;
    signed += (byte << 24) >> 24;
  }
  return expected === unsigned || expected === signed;
}

function isSound(header: TarHeader): boolean {
  const { mode, uid, gid, size, mtime, devmajor, devminor } = header;
  return size >= 0 && [mode, uid, gid, size, mtime, devmajor, devminor].every(Number.isSafeInteger);
}
