import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';

/** A file that an archive will hold. Names are at most 100 bytes, so that its header is one block. */
export interface PlannedFile {
  name: string;
  size: number;
  open(): Promise<Readable> | Buffer;
}

const BLOCK = 512;
/** Archives of the same content are the same bytes. */
const MTIME = new Date(0);

/** The size that `tarOf` will have, in bytes. */
export function tarSize(files: readonly PlannedFile[]): number {
  const blocks = (size: number) => Math.ceil(size / BLOCK) * BLOCK;
  const entries = files.map(({ name, size }) => BLOCK + (name.endsWith('/') ? 0 : blocks(size)));
  return entries.reduce((sum, size) => sum + size, 2 * BLOCK);
}

/** One tar of these files, in this order; a name that ends in `/` is a directory. */
export function tarOf(files: readonly PlannedFile[]): Readable {
  const archive = pack();
  write(files, archive).catch((error: unknown) => archive.destroy(error as Error));
  return Readable.from(archive, { objectMode: false });
}

async function write(files: readonly PlannedFile[], archive: ReturnType<typeof pack>) {
  for (const { name, size, open } of files) {
    if (archive.destroyed) return;
    if (name.endsWith('/')) {
      archive.entry({ name, type: 'directory', mode: 0o755, mtime: MTIME });
      continue;
    }
    const header = { name, size, type: 'file' as const, mode: 0o644, mtime: MTIME };
    const source = await open();
    if (Buffer.isBuffer(source)) archive.entry(header, source);
    else if (size === 0) archive.entry(header, Buffer.alloc(0));
    else await pipeline(source, archive.entry(header));
  }
  archive.finalize();
}
