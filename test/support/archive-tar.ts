import { Readable } from 'node:stream';
import { pack } from 'tar-stream';

/** A file by its content, or a link by its target. */
export type TarMember = [
  name: string,
  content: Buffer | string | { symlink: string } | { hardlink: string } | object,
];

/** A tar of these members, in this order; objects become JSON. */
export async function tarBytes(members: readonly TarMember[]): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of members) {
    if (Buffer.isBuffer(content) || typeof content === 'string') archive.entry({ name }, content);
    else if ('symlink' in content) {
      archive.entry({ name, type: 'symlink', linkname: String(content.symlink) });
    } else if ('hardlink' in content) {
      archive.entry({ name, type: 'link', linkname: String(content.hardlink) });
    } else archive.entry({ name }, JSON.stringify(content));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The bytes in pieces of some size, as a network brings them. */
export function inPieces(bytes: Buffer, size = 10_000): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
    { objectMode: false },
  );
}
