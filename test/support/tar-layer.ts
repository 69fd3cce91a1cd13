import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/** One entry of a layer; a name that ends in `/` is a folder. */
export interface TarEntry {
  name: string;
  content?: Buffer | string;
  mode?: number;
  uid?: number;
  gid?: number;
  /** Seconds since the epoch. */
  mtime?: number;
  link?: { type: 'hard' | 'symbolic'; target: string };
}

/** How a layer stands on the wire. `unended`: without the two zero blocks, as engines up to 1.2 send it. */
export type LayerForm = 'tar' | 'gzip' | 'unended' | 'gzip-unended' | 'empty';

export interface Layer {
  form: LayerForm;
  /** The bytes on the wire. */
  bytes: Buffer;
  /** The archive inside. */
  tar: Buffer;
  /** `sha256:…` of `bytes`. */
  digest: string;
  /** `sha256:…` of `tar`. */
  diffId: string;
  entries: TarEntry[];
}

const BLOCK = 512;
const END = Buffer.alloc(2 * BLOCK);

/** A layer of these entries. `empty` ignores them: the well-known gzip of an empty tar (bridge.md 2.4). */
export function makeLayer(entries: TarEntry[], form: LayerForm = 'gzip'): Layer {
  const used = form === 'empty' ? [] : entries;
  const blocks = used.flatMap((entry) => [headerOf(entry), contentOf(entry)]);
  const ended = form !== 'unended' && form !== 'gzip-unended';
  const tar = Buffer.concat(ended ? [...blocks, END] : blocks);
  const bytes = form === 'tar' || form === 'unended' ? tar : gzipSync(tar);
  return { form, bytes, tar, digest: sha256(bytes), diffId: sha256(tar), entries: used };
}

/** `sha256:` and the hex digits of these bytes. */
export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * The tarsum of a layer with its image JSON (v1.md 2.7, version 0), from the entries that it was made of: no parser
 * that the server might share is in the way.
 */
export function tarsumOf(json: Buffer, layer: Layer): string {
  const sums = layer.entries.map((entry) => {
    const { mode, uid, gid, mtime, size, type, linkname } = fieldsOf(entry);
    const fields =
      `name${entry.name}mode${mode}uid${uid}gid${gid}size${size}mtime${mtime}typeflag${type}` +
      `linkname${linkname}unamegnamedevmajor0devminor0`;
    return createHash('sha256').update(fields).update(bodyOf(entry)).digest('hex');
  });
  const hash = createHash('sha256').update(json);
  for (const sum of sums.sort()) hash.update(sum);
  return `tarsum+sha256:${hash.digest('hex')}`;
}

function bodyOf(entry: TarEntry): Buffer {
  return Buffer.from(entry.content ?? '');
}

function fieldsOf(entry: TarEntry) {
  const folder = entry.name.endsWith('/');
  return {
    mode: entry.mode ?? (folder ? 0o755 : 0o644),
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    mtime: entry.mtime ?? 1_400_000_000,
    size: bodyOf(entry).length,
    type: folder ? '5' : entry.link === undefined ? '0' : entry.link.type === 'hard' ? '1' : '2',
    linkname: entry.link?.target ?? '',
  };
}

/** A ustar header (POSIX.1-1988); names are at most 100 bytes. */
function headerOf(entry: TarEntry): Buffer {
  const { mode, uid, gid, mtime, size, type, linkname } = fieldsOf(entry);
  if (Buffer.byteLength(entry.name) > 100) throw new Error(`name too long: ${entry.name}`);
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, width: number) =>
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
  block.write(entry.name, 0);
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(gid, 116, 8);
  octal(size, 124, 12);
  octal(mtime, 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(linkname, 157);
  block.write('ustar\x0000', 257, 'latin1');
  octal(0, 329, 8);
  octal(0, 337, 8);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function contentOf(entry: TarEntry): Buffer {
  const body = bodyOf(entry);
  const padding = (BLOCK - (body.length % BLOCK)) % BLOCK;
  return Buffer.concat([body, Buffer.alloc(padding)]);
}
