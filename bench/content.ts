import { createCipheriv, createHash, randomBytes, randomUUID } from 'node:crypto';

export const KIB = 1024;
export const MIB = 1024 * KIB;

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Something with a digest, in the parts that go out one after the other. */
export interface Content {
  size: number;
  digest: string;
  parts: Buffer[];
}

export interface Image {
  layers: Content[];
  config: Content;
  manifest: Content;
}

export function sha256(...parts: (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function contentOf(...parts: Buffer[]): Content {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return { size, parts, digest: `sha256:${sha256(...parts)}` };
}

let noise = Buffer.alloc(0);

/** The same incompressible bytes in every run. */
function noiseOf(size: number): Buffer {
  if (noise.length < size) {
    const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16, 9));
    noise = cipher.update(Buffer.alloc(size));
  }
  return noise.subarray(0, size);
}

/** A blob that differs from every other in its first bytes; with a name, the same one each time. */
export function blobOf(size: number, name?: string): Content {
  const length = Math.min(64, size);
  const start =
    name === undefined
      ? randomBytes(length)
      : createHash('sha512').update(name).digest().subarray(0, length);
  return contentOf(start, noiseOf(size).subarray(length));
}

/** An image of layers of one size; with a name, the same one each time. */
export function imageOf(layerCount: number, layerBytes: number, name?: string): Image {
  const layers = Array.from({ length: layerCount }, (_, n) =>
    blobOf(layerBytes, name === undefined ? undefined : `${name}/${n}`),
  );
  const config = contentOf(
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        created: '2020-01-01T00:00:00Z',
        config: { Cmd: ['/bin/sh'], Labels: { id: name ?? randomUUID() } },
        rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      }),
    ),
  );
  return withManifest(layers, config);
}

/** The same content under another manifest, told apart by its annotations. */
export function withManifest(
  layers: Content[],
  config: Content,
  annotations?: Record<string, string>,
): Image {
  const descriptor = (mediaType: string, { digest, size }: Content) => ({
    mediaType,
    digest,
    size,
  });
  const manifest = contentOf(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: descriptor('application/vnd.oci.image.config.v1+json', config),
        layers: layers.map((layer) =>
          descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer),
        ),
        ...(annotations && { annotations }),
      }),
    ),
  );
  return { layers, config, manifest };
}

/** The bytes from `start` to before `end` of what the parts are together, without a copy. */
export function slice(parts: readonly Buffer[], start: number, end: number): Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  for (const part of parts) {
    const [from, to] = [Math.max(start - at, 0), Math.min(end - at, part.length)];
    if (from < to) found.push(part.subarray(from, to));
    at += part.length;
  }
  return found;
}

const coded = new WeakMap<readonly Buffer[], Buffer>();

/**
 * A body in chunked transfer coding, in the 32 KiB pieces that docker sends. It is made once for the same parts: who asks
 * before the clock starts, does not pay for it later.
 */
export function chunked(parts: readonly Buffer[]): Buffer {
  const body = coded.get(parts) ?? encode(parts);
  coded.set(parts, body);
  return body;
}

function encode(parts: readonly Buffer[], piece = 32 * KIB): Buffer {
  const all = Buffer.concat(parts);
  const chunks: Buffer[] = [];
  for (let at = 0; at < all.length; at += piece) {
    const chunk = all.subarray(at, at + piece);
    chunks.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')]);
}
