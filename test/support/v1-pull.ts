import { header, jsonOf } from './http-client.ts';
import type { V1Image } from './images.ts';
import { expectStatus, type Trace, V1Error, type V1Session } from './v1-session.ts';

export interface PullOptions {
  /** Breaks off each layer after this many bytes, once, and resumes it as engines do. */
  cutAfter?: number;
  /** Takes each layer's bytes as they come; without it they are kept in the images. */
  sink?: (id: string, chunk: Buffer) => void | Promise<void>;
}

export interface PulledImage {
  top: string;
  /** Base first. */
  images: V1Image[];
  trace: Trace;
  /** Layers that were resumed with a range. */
  resumed: number;
}

interface ImageJson {
  id?: unknown;
  parent?: unknown;
  created?: unknown;
}

const ID = /^[0-9a-f]{64}$/;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** Steps 2 to 6 of v1-clients.md, "The pull, request by request". */
export async function pullImage(
  session: V1Session,
  name: string,
  tag: string,
  options: PullOptions,
): Promise<PulledImage> {
  const listed = await readList(session, name);
  const top = await readTag(session, name, tag);
  const ancestry = await readAncestry(session, top);
  const missing = ancestry.filter((id) => !listed.has(id));
  if (missing.length > 0) throw new V1Error(`the image list lacks ${missing}`);
  const pulled: PulledImage = { top, images: [], trace: session.trace, resumed: 0 };
  const sizes = new Map<string, number | undefined>();
  const bottomUp = [...ancestry].reverse();
  const readOne = async (id: string) => {
    const parent = pulled.images.at(-1)?.id;
    const { json, size } = await readJson(session, id, parent);
    sizes.set(id, size);
    const image: V1Image = { id, parent, json, layer: Buffer.alloc(0) };
    pulled.images.push(image);
    return image;
  };
  const layerOf = async (image: V1Image) => {
    const result = await readLayer(session, image.id, sizes.get(image.id), options);
    image.layer = result.bytes;
    if (result.resumed) pulled.resumed += 1;
  };
  if (session.engine.parallelLayers) {
    for (const id of bottomUp) await readOne(id);
    const queue = [...pulled.images];
    const worker = async () => {
      for (let image = queue.shift(); image !== undefined; image = queue.shift())
        await layerOf(image);
    };
    await Promise.all([worker(), worker(), worker()]);
  } else {
    for (const id of bottomUp) await layerOf(await readOne(id));
  }
  return pulled;
}

async function readList(session: V1Session, name: string): Promise<Set<string>> {
  const answer = await session.index(`/v1/repositories/${name}/images`);
  if (answer.status === 401) throw new V1Error('Please login first (HTTP code 401)', 401);
  if (answer.status === 404) throw new V1Error(`Error: image ${name} not found`, 404);
  expectStatus(answer, [200], `GET the image list of ${name}`);
  return new Set(jsonOf<{ id: string }[]>(answer).map(({ id }) => id));
}

/** A bare name is asked for as `library/NAME` here, whatever the request before said. */
async function readTag(session: V1Session, name: string, tag: string): Promise<string> {
  const path = `/repositories/${name.includes('/') ? name : `library/${name}`}/tags`;
  const answer = await session.registry(session.engine.readsOneTag ? `${path}/${tag}` : path);
  if (answer.status === 404) throw new V1Error(`Tag ${tag} not found in repository ${name}`, 404);
  expectStatus(answer, [200], `GET ${path}`);
  const top = session.engine.readsOneTag
    ? jsonOf<unknown>(answer)
    : jsonOf<Record<string, unknown>>(answer)[tag];
  if (top === undefined) throw new V1Error(`Tag ${tag} not found in repository ${name}`);
  if (typeof top !== 'string' || !ID.test(top)) {
    throw new V1Error(`the tag ${tag} holds ${JSON.stringify(top)}, not an image ID`);
  }
  return top;
}

async function readAncestry(session: V1Session, top: string): Promise<string[]> {
  const answer = await session.registry(`/images/${top}/ancestry`);
  expectStatus(answer, [200], `GET the ancestry of ${top}`);
  const ids = jsonOf<string[]>(answer);
  if (ids[0] !== top) throw new V1Error(`the ancestry of ${top} begins with ${ids[0]}`);
  if (!ids.every((id) => ID.test(id))) throw new V1Error(`an ancestry with bad IDs: ${ids}`);
  if (new Set(ids).size !== ids.length) throw new V1Error(`an ancestry with a loop: ${ids}`);
  return ids;
}

/** The JSON as sent, whose `parent` must be the image below, and the size that the layer will have. */
async function readJson(
  session: V1Session,
  id: string,
  parent: string | undefined,
): Promise<{ json: Buffer; size: number | undefined }> {
  const answer = await session.registry(`/images/${id}/json`);
  expectStatus(answer, [200], `GET the JSON of ${id}`);
  const image = jsonOf<ImageJson>(answer);
  if (image.id !== id) throw new V1Error(`the JSON of ${id} says id ${image.id}`);
  if ((image.parent || undefined) !== parent) {
    throw new V1Error(`the JSON of ${id} says parent ${image.parent}, its ancestry ${parent}`);
  }
  if (image.created !== undefined && !RFC3339.test(String(image.created))) {
    throw new V1Error(`the JSON of ${id} says created ${image.created}`);
  }
  const size = header(answer.headers, 'x-docker-size');
  if (size === undefined && session.engine.ancient) throw new V1Error(`${id}: no X-Docker-Size`);
  if (size !== undefined && !/^\d+$/.test(size)) throw new V1Error(`X-Docker-Size: ${size}`);
  return { json: answer.body, size: size === undefined ? undefined : Number(size) };
}

/** The layer, cut and resumed if asked; a range ends one past the last byte, as all engines send it. */
async function readLayer(
  session: V1Session,
  id: string,
  size: number | undefined,
  options: PullOptions,
): Promise<{ bytes: Buffer; resumed: boolean }> {
  const chunks: Buffer[] = [];
  let got = 0;
  const take = async (chunk: Buffer) => {
    got += chunk.length;
    if (options.sink === undefined) chunks.push(chunk);
    else await options.sink(id, chunk);
  };
  const path = `/images/${id}/layer`;
  const first = await session.stream(path);
  if (first.statusCode !== 200) {
    first.resume();
    throw new V1Error(`GET ${path}`, first.statusCode);
  }
  const length = header(first.headers, 'content-length');
  if (size !== undefined && length !== undefined && Number(length) !== size) {
    throw new V1Error(`${path}: X-Docker-Size ${size}, Content-Length ${length}`);
  }
  const resumable = header(first.headers, 'accept-ranges') === 'bytes' && (size ?? 0) > 0;
  const cut = resumable ? options.cutAfter : undefined;
  for await (const chunk of first as AsyncIterable<Buffer>) {
    await take(cut === undefined ? chunk : chunk.subarray(0, cut - got));
    if (cut !== undefined && got >= cut) break; // leaving the loop closes the connection
  }
  let resumed = false;
  if (size !== undefined && got < size) {
    const rest = await session.stream(path, { headers: { range: `bytes=${got}-${size}` } });
    if (rest.statusCode !== 206) {
      rest.resume();
      throw new V1Error(`${path}: the server does not support byte ranges`, rest.statusCode);
    }
    const promised = header(rest.headers, 'content-length');
    if (promised !== String(size - got)) {
      throw new V1Error(`${path}: ${size - got} bytes are left, Content-Length is ${promised}`);
    }
    for await (const chunk of rest as AsyncIterable<Buffer>) await take(chunk);
    resumed = true;
  }
  if (size !== undefined && got !== size) throw new V1Error(`${path}: ${got} bytes of ${size}`);
  return { bytes: Buffer.concat(chunks), resumed };
}
