import { createHash, type Hash } from 'node:crypto';
import {
  overridden,
  parseTarHeader,
  readOverrides,
  type TarHeader,
  type TarOverrides,
} from './tar-header.ts';

/**
 * v0 is V1's; v1 and dev leave the modification time out and count extended attributes. `v0-nameless` is v0 as docker's
 * own library makes it since it is built with Go 1.10: without the names of owner and group.
 */
export type TarSumVersion = 'v0' | 'v0-nameless' | 'v1' | 'dev';

const LABELS: Record<TarSumVersion, string> = {
  v0: 'tarsum',
  'v0-nameless': 'tarsum',
  v1: 'tarsum.v1',
  dev: 'tarsum.dev',
};
const BLOCK = 512;
const OVERRIDES = 'xLK';
/** Links, devices, directories and fifos have no data, whatever their size says. */
const WITHOUT_DATA = '123456';
const MAX_OVERRIDES = 2 ** 20;
/** Each entry costs a digest of 64 characters, and entries may be compressed to almost nothing. */
const MAX_ENTRIES = 500_000;

/**
 * docker's tarsum of an uncompressed layer (v1.md 2.7), fed in chunks of any size. The archive may end with or without
 * its zero blocks.
 */
export class TarSum {
  readonly #version: TarSumVersion;
  readonly #entries: string[] = [];
  readonly #block = Buffer.alloc(BLOCK);
  #filled = 0;
  #state: 'header' | 'data' | 'padding' | 'end' | 'malformed' = 'header';
  /** Bytes left of the data or the padding. */
  #left = 0;
  #padding = 0;
  #overrides: TarOverrides = new Map();
  #reading: { typeflag: string; parts: Buffer[] } | undefined;
  #hash: Hash = createHash('sha256');

  constructor(version: TarSumVersion = 'v0') {
    this.#version = version;
  }

  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#state === 'end' || this.#state === 'malformed') return;
      at += this.#state === 'header' ? this.#fill(chunk, at) : this.#pass(chunk, at);
    }
  }

  /**
   * The checksum with its label, `tarsum+sha256:…`, over the image's JSON and all entries. Undefined when what was fed is
   * no tar, was cut short, or has more entries than are counted.
   */
  finish(json: Uint8Array): string | undefined {
    const atEntry = this.#state === 'header' && this.#filled === 0;
    if ((!atEntry && this.#state !== 'end') || this.#overrides.size > 0) return undefined;
    const hash = createHash('sha256').update(json);
    for (const digest of this.#entries.sort()) hash.update(digest);
    return `${LABELS[this.#version]}+sha256:${hash.digest('hex')}`;
  }

  #fill(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#block, this.#filled, at);
    this.#filled += taken;
    if (this.#filled === BLOCK) {
      this.#filled = 0;
      this.#startEntry();
    }
    return taken;
  }

  #startEntry(): void {
    if (this.#block.every((byte) => byte === 0)) {
      this.#state = 'end';
      return;
    }
    const header = parseTarHeader(this.#block);
    if (header === undefined) this.#state = 'malformed';
    else if (OVERRIDES.includes(header.typeflag)) this.#startOverrides(header);
    else this.#startCounted(header);
  }

  #startOverrides(header: TarHeader): void {
    if (header.size > MAX_OVERRIDES) {
      this.#state = 'malformed';
      return;
    }
    this.#reading = { typeflag: header.typeflag, parts: [] };
    this.#startData(header.size);
  }

  #startCounted(plain: TarHeader): void {
    const header = overridden(plain, this.#overrides);
    this.#overrides = new Map();
    if (header === undefined || this.#entries.length === MAX_ENTRIES) {
      this.#state = 'malformed';
      return;
    }
    this.#hash = createHash('sha256');
    this.#hash.update(this.#describe(header), 'latin1');
    this.#startData(WITHOUT_DATA.includes(header.typeflag) ? 0 : header.size);
  }

  #describe(header: TarHeader): string {
    const { name, mode, uid, gid, size, mtime, typeflag, linkname } = header;
    const isNameless = this.#version === 'v0-nameless';
    const { uname, gname } = isNameless ? { uname: '', gname: '' } : header;
    const first = `name${name}mode${mode}uid${uid}gid${gid}size${size}`;
    const isV0 = isNameless || this.#version === 'v0';
    const time = isV0 ? `mtime${mtime}` : '';
    const rest = `typeflag${typeflag}linkname${linkname}uname${uname}gname${gname}devmajor${header.devmajor}devminor${header.devminor}`;
    if (isV0) return first + time + rest;
    const keys = [...header.xattrs.keys()].sort();
    return first + rest + keys.map((key) => key + header.xattrs.get(key)).join('');
  }

  #startData(size: number): void {
    this.#left = size;
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK;
    this.#state = 'data';
    if (size === 0) this.#endData();
  }

  #pass(chunk: Buffer, at: number): number {
    const part = chunk.subarray(at, at + this.#left);
    this.#left -= part.length;
    if (this.#state === 'data') {
      // A copy: the parts outlive this call, the chunk's memory need not.
      if (this.#reading) this.#reading.parts.push(Buffer.from(part));
      else this.#hash.update(part);
    }
    if (this.#left === 0) {
      if (this.#state === 'data') this.#endData();
      else this.#state = 'header';
    }
    return part.length;
  }

  #endData(): void {
    const reading = this.#reading;
    this.#reading = undefined;
    this.#left = this.#padding;
    this.#state = this.#left > 0 ? 'padding' : 'header';
    if (reading === undefined) this.#entries.push(this.#hash.digest('hex'));
    else if (!readOverrides(reading.typeflag, Buffer.concat(reading.parts), this.#overrides)) {
      this.#state = 'malformed';
    }
  }
}
