import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { V1Image } from './images.ts';
import { errorTextOf, expectStatus, type Trace, V1Error, type V1Session } from './v1-session.ts';

/** An image whose layer is made while it is sent, for layers that should not lie in memory. */
export type PushedImage = Omit<V1Image, 'layer'> & {
  layer: Buffer | (() => AsyncIterable<Buffer>);
};

export interface PushOptions {
  /** `off`: the engine runs with a registry that has no V2, or is told to skip it. */
  v2?: 'off';
  /** Breaks the connection after this many bytes of the top's layer. */
  cutAfter?: number;
  /** Sends wrong checksums for the top. */
  badChecksum?: boolean;
}

export interface PushReport {
  trace: Trace;
  uploaded: string[];
  /** Ids that the registry said it has. */
  skipped: string[];
}

/** Steps 3 to 9 of v1-clients.md, "The push, request by request". */
export async function pushImage(
  session: V1Session,
  name: string,
  tag: string,
  images: readonly PushedImage[],
  options: PushOptions,
): Promise<PushReport> {
  const top = images.at(-1);
  if (top === undefined) throw new Error('an image has at least one layer');
  const list = images.map(({ id }) => (id === top.id ? { id, Tag: tag } : { id }));
  await putIndex(session, `/v1/repositories/${name}/`, list, [200, 201]);
  const present = await lookUp(session, images);
  const report: PushReport = { trace: session.trace, uploaded: [], skipped: [] };
  const checksums = new Map<string, string>();
  for (const image of images) {
    if (present.has(image.id)) {
      report.skipped.push(image.id);
    } else {
      const faults = image === top ? options : {};
      const sum = await upload(session, image, faults);
      if (sum === undefined) report.skipped.push(image.id);
      else {
        report.uploaded.push(image.id);
        checksums.set(image.id, sum);
      }
    }
    if (session.engine.tagsEveryImage || image === top) await putTag(session, name, tag, image.id);
  }
  const last = session.engine.tagsEveryImage
    ? images.map(({ id }) => ({ id, checksum: checksums.get(id) ?? '' }))
    : [];
  const headers = { 'x-docker-endpoints': `${session.endpoint}/` };
  await putIndex(session, `/v1/repositories/${name}/images`, last, [204], headers);
  return report;
}

async function putIndex(
  session: V1Session,
  path: string,
  list: unknown[],
  accepted: number[],
  headers: Record<string, string> = {},
): Promise<void> {
  const answer = await session.index(path, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(list),
  });
  if (answer.status === 401)
    throw new V1Error('Error: Status 401 trying to push: please login', 401);
  expectStatus(answer, accepted, `PUT ${path}`);
}

/** Asks for every image, up to five at once; 200 alone means "already there". */
async function lookUp(session: V1Session, images: readonly PushedImage[]): Promise<Set<string>> {
  const present = new Set<string>();
  const queue = [...images];
  const worker = async () => {
    for (let image = queue.shift(); image !== undefined; image = queue.shift()) {
      const answer = await session.registry(`/images/${image.id}/json`);
      if (answer.status === 200) present.add(image.id);
    }
  };
  await Promise.all(Array.from({ length: session.engine.asksV2 ? 5 : 1 }, worker));
  return present;
}

/** JSON, layer, checksum. The tarsum or payload sum that went out, or undefined when the image was there after all. */
async function upload(
  session: V1Session,
  image: PushedImage,
  faults: PushOptions,
): Promise<string | undefined> {
  const path = `/images/${image.id}`;
  const json = await session.registry(`${path}/json`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: image.json,
  });
  if (json.status !== 200 && errorTextOf(json) === 'Image already exists') return undefined;
  expectStatus(json, [200], `PUT ${path}/json`);

  const payload = createHash('sha256').update(image.json).update('\n');
  const layer = await session.registry(`${path}/layer`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: Readable.from(paced(image.layer, payload, faults.cutAfter)),
  });
  expectStatus(layer, [200], `PUT ${path}/layer`);

  const sums = checksumHeaders(session, image, `sha256:${payload.digest('hex')}`, faults);
  const answer = await session.registry(`${path}/checksum`, { method: 'PUT', headers: sums });
  expectStatus(answer, [200], `PUT ${path}/checksum`);
  return sums['x-docker-checksum'] ?? sums['x-docker-checksum-payload'];
}

function checksumHeaders(
  session: V1Session,
  image: PushedImage,
  payload: string,
  faults: PushOptions,
): Record<string, string> {
  const wrong = '0'.repeat(64);
  const headers: Record<string, string> = {};
  if (image.tarsum !== undefined) {
    headers['x-docker-checksum'] = faults.badChecksum ? `tarsum+sha256:${wrong}` : image.tarsum;
  }
  if (session.engine.payloadChecksum) {
    headers['x-docker-checksum-payload'] = faults.badChecksum ? `sha256:${wrong}` : payload;
  }
  return headers;
}

/** The body in the chunks that engines send: a few small ones, then 32 KiB. */
async function* paced(
  layer: PushedImage['layer'],
  hash: { update(bytes: Buffer): unknown },
  cutAfter: number | undefined,
): AsyncGenerator<Buffer> {
  const small = [78, 20, 36];
  let sent = 0;
  for await (const piece of Buffer.isBuffer(layer) ? [layer] : layer()) {
    for (let at = 0; at < piece.length; ) {
      const chunk = piece.subarray(at, at + (small.shift() ?? 32_768));
      if (cutAfter !== undefined && sent + chunk.length > cutAfter) {
        throw new V1Error('the connection was cut on purpose');
      }
      at += chunk.length;
      sent += chunk.length;
      hash.update(chunk);
      yield chunk;
    }
  }
}

async function putTag(session: V1Session, name: string, tag: string, id: string): Promise<void> {
  const path = `/repositories/${name}/tags/${tag}`;
  const answer = await session.registry(path, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(id),
  });
  expectStatus(answer, [200, 201], `PUT ${path}`);
}
