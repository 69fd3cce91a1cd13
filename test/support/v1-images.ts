import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { send } from './exchanges.ts';
import { payloadSum } from './v1-sums.ts';

/** An image as a V1 client holds it. */
export interface TestImage {
  id: string;
  json: string;
  layer: Buffer;
}

/** An id that follows from a word. */
export function idOf(word: string): string {
  return createHash('sha256').update(word).digest('hex');
}

/** Names with a trailing slash are directories; `null` is an empty file. */
export type Files = Record<string, string | null>;

export async function tarOf(files: Files): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) {
    const type = name.endsWith('/') ? 'directory' : 'file';
    archive.entry({ name, type, mtime: new Date(1_400_000_000_000), mode: 0o644 }, content ?? '');
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** An image with this layer on `parent`. */
export async function makeImage(
  word: string,
  parent?: TestImage,
  files: Files = { [`${word}.txt`]: word },
): Promise<TestImage> {
  const id = idOf(word);
  const json = JSON.stringify({ id, ...(parent && { parent: parent.id }), comment: `é ${word}` });
  return { id, json, layer: gzipSync(await tarOf(files)) };
}

/** Pushes an image as engines do; throws on the first refusal. */
export async function pushImage(
  url: string,
  { id, json, layer }: TestImage,
  headers: Record<string, string> = {},
): Promise<void> {
  const payload = payloadSum(Buffer.from(json), layer);
  await put(url, { path: `/v1/images/${id}/json`, body: json, headers });
  await put(url, { path: `/v1/images/${id}/layer`, chunks: [layer], headers });
  await put(url, {
    path: `/v1/images/${id}/checksum`,
    headers: { ...headers, 'X-Docker-Checksum-Payload': payload },
  });
}

/** Pushes a line of images, base first, and tags the last. */
export async function pushLine(
  url: string,
  name: string,
  tag: string,
  images: readonly TestImage[],
  headers: Record<string, string> = {},
): Promise<void> {
  const list = JSON.stringify(images.map(({ id }) => ({ id })));
  await put(url, { path: `/v1/repositories/${name}/`, body: list, headers });
  for (const image of images) await pushImage(url, image, headers);
  const body = JSON.stringify(images.at(-1)?.id);
  await put(url, { path: `/v1/repositories/${name}/tags/${tag}`, body, headers });
}

async function put(url: string, row: Parameters<typeof send>[1]): Promise<void> {
  const answer = await send(url, { method: 'PUT', ...row });
  if (answer.status === 200) return;
  throw new Error(`PUT ${row.path}: ${answer.status} ${answer.body}`);
}
