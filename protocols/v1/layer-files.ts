import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import {
  decompressed,
  type LayerEncoding,
  SNIFF_LENGTH,
  sniffEncoding,
} from '../../storage/bridge/layer-encoding.ts';
import { RegistryError } from '../../storage/errors.ts';
import type { LayerBody } from '../../storage/v1-images.ts';
import { registryError } from '../registry.ts';

/** `[name, type, deleted, size, mtime, mode, uid, gid]`, as docker-registry listed a layer (v1.md 1.4). */
export type FileEntry = [string, string, boolean, number, number, number, number, number];

const MAX_ENTRIES = 500_000;
/** Bytes of the unpacked tar, and how often the size of the layer: a bomb makes a thousand times its size. */
const MAX_TAR = 16 * 2 ** 30;
const MAX_RATIO = 200;
/** Small layers of zeros are no bombs. */
const ALWAYS_ALLOWED = 256 * 2 ** 20;

const TYPES: Record<Header['type'], string> = {
  file: 'f',
  link: 'l',
  symlink: 's',
  'character-device': 'c',
  'block-device': 'b',
  directory: 'd',
  fifo: 'i',
  'contiguous-file': 't',
};

/** Archives from before POSIX have no magic number; the checksum of each header still counts. */
const READER_OPTIONS = { allowUnknownFormat: true, highWaterMark: 512 * 1024 };

/**
 * Shows every file of a layer to `visit`, in the order of the archive. The layer streams through; only its headers
 * are looked at. Throws IMAGE_INVALID when it is no tar that we read, or is out of all proportion.
 */
export async function visitFiles(
  layer: LayerBody,
  visit: (entry: FileEntry) => void,
): Promise<void> {
  if (layer.size === 0) throw unsupported();
  const encoding = await encodingOf(layer);
  const source = await layer.open();
  let sourceError: unknown;
  source.once('error', (error) => {
    sourceError = error;
  });
  try {
    await visitTar(decompressed(source, encoding, { maxBytes: tarLimit(layer.size) }), visit);
  } catch (error) {
    if (error instanceof RegistryError) throw error;
    if (sourceError !== undefined && error === sourceError) throw error;
    throw unsupported(error);
  }
}

function tarLimit(size: number): number {
  return Math.min(MAX_TAR, Math.max(ALWAYS_ALLOWED, size * MAX_RATIO));
}

/** What is not seekable is unpacked on the way already. */
async function encodingOf(layer: LayerBody): Promise<LayerEncoding> {
  if (!layer.seekable || layer.size < SNIFF_LENGTH) return 'none';
  const chunks: Buffer[] = [];
  const head = await layer.open({ start: 0, end: SNIFF_LENGTH - 1 });
  for await (const chunk of head) chunks.push(chunk as Buffer);
  return sniffEncoding(Buffer.concat(chunks));
}

async function visitTar(tar: Readable, visit: (entry: FileEntry) => void): Promise<void> {
  const reader = extract(READER_OPTIONS);
  let entries = 0;
  reader.on('entry', (header, body, next) => {
    body.resume();
    entries += 1;
    try {
      if (entries > MAX_ENTRIES) {
        throw registryError('IMAGE_INVALID', `Layer has more than ${MAX_ENTRIES} files`);
      }
      const entry = entryOf(header);
      if (entry) visit(entry);
      next();
    } catch (error) {
      next(error as Error);
    }
  });
  await pipeline(tar, reader);
}

function entryOf(header: Header): FileEntry | undefined {
  const listed = listedName(header.name);
  if (!listed) return undefined;
  const { size, mtime, mode, uid, gid } = header;
  const seconds = Math.floor(mtime.getTime() / 1000);
  return [listed.name, typeOf(header), listed.deleted, size, seconds, mode, uid, gid];
}

function typeOf({ name, type }: { name: string; type: Header['type'] | null }): string {
  // Old archives mark a directory by its name only.
  if (type === 'file' && name.endsWith('/')) return TYPES.directory;
  return type === null ? 'u' : TYPES[type];
}

/**
 * The name under which a file is listed: from `/` where the archive says `./`. A whiteout stands for the file that it
 * hides, in whatever directory (v1.md B13); other marks of the union file system are no files.
 */
export function listedName(path: string): { name: string; deleted: boolean } | undefined {
  const bare = path.replace(/\/+$/, '').replace(/^\.(?=\/|$)/, '');
  const name = bare === '' ? '/' : bare;
  const base = name.slice(name.lastIndexOf('/') + 1);
  if (!base.startsWith('.wh.')) return { name, deleted: false };
  const hidden = base.slice(4);
  if (hidden === '' || hidden.startsWith('.wh.')) return undefined;
  return { name: `${name.slice(0, name.length - base.length)}${hidden}`, deleted: true };
}

function unsupported(cause?: unknown) {
  return registryError(
    'IMAGE_INVALID',
    'Layer format not supported',
    cause === undefined ? {} : { cause },
  );
}
