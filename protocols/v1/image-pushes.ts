import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import { parseImageJson } from '../../storage/v1-json.ts';
import type { V1Sums } from '../../storage/v1-store.ts';
import { type Answer, type Incoming, respond } from '../answer.ts';
import { readBody } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { NOT_CACHED } from './json.ts';
import { hasUnreadBody, lingering } from './lingering.ts';
import { enterImage, type ImageRequest, imagesOf, report, requireListed } from './session.ts';
import { objectionTo } from './signals.ts';

const TRUE = Buffer.from('true');

/** Writing images: JSON, then layer, then checksum (v1.md 1.6). */
export function imagePushRoutes(router: Router, registry: Registry): void {
  const parts = { json: putJson, layer: putLayer, checksum: putChecksum };
  for (const [part, put] of Object.entries(parts)) {
    router.put(`/v1/images/:id/${part}`, async (ctx) =>
      respond(ctx, await put(ctx, registry, String(ctx.params.id))),
    );
  }
}

/** Read raw: the payload sum covers these very bytes. */
export async function putJson(
  incoming: Incoming,
  registry: Registry,
  path: string,
): Promise<Answer> {
  const { id, reader, session } = await enterImage(incoming, registry, path, 'push');
  const json = parseImageJson(await readBody(incoming.req, registry.limits.jsonBytes), id);
  requireListed(session, id);
  await imagesOf(registry).putJson(json, reader, objectionTo(registry, json.bytes));
  return done(incoming);
}

export async function putLayer(
  incoming: Incoming,
  registry: Registry,
  path: string,
): Promise<Answer> {
  const { id, reader } = await enterImage(incoming, registry, path, 'push');
  const onBytes = limitOf(incoming.req, registry.limits.layerBytes);
  try {
    await imagesOf(registry).putLayer(id, incoming.req, reader, onBytes);
  } catch (error) {
    if (!isBrokenOff(incoming.req, error)) throw error;
    throw registryError('REQUEST_INVALID', 'the request ended before its layer was complete', {
      cause: error,
    });
  }
  return done(incoming);
}

/** Throws TOO_LARGE above `limit` bytes, at once where the client says how many will come. */
function limitOf(
  { headers }: IncomingMessage,
  limit = Number.POSITIVE_INFINITY,
): (bytes: number) => void {
  let size = 0;
  const count = (bytes: number) => {
    size += bytes;
    if (size <= limit) return;
    throw registryError('TOO_LARGE', `a layer may have ${limit} bytes at most`);
  };
  count(Number(headers['content-length'] ?? 0));
  size = 0;
  return count;
}

function isBrokenOff(request: IncomingMessage, error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ECONNRESET' && !request.complete;
}

/**
 * Engines from 0.10 on send both sums; those of 0.7 to 0.9 send a tarsum that is right and no payload sum, or a wrong
 * one (v1.md 2.7), so either will do.
 */
export async function putChecksum(
  incoming: Incoming,
  registry: Registry,
  path: string,
): Promise<Answer> {
  const request = await enterImage(incoming, registry, path, 'push');
  const sums = sumsOf(incoming.req);
  await imagesOf(registry).putChecksum(request.id, sums, request.reader);
  if (registry.events.active !== false) await reportPush(incoming, registry, request);
  return done(incoming);
}

/** What docker-registry said to all that it did. A checksum may come with a body that nobody reads. */
function done({ req }: Incoming): Answer {
  const body = hasUnreadBody(req) ? lingering(req, TRUE) : TRUE;
  const headers = [...NOT_CACHED, 'Content-Type', 'application/json'];
  return { status: 200, headers, length: TRUE.length, body };
}

async function reportPush(
  incoming: Incoming,
  registry: Registry,
  request: ImageRequest,
): Promise<void> {
  const layer = (await registry.content.v1.find(request.id, request.reader))?.layer;
  report(incoming, registry, request, 'push', {
    imageId: request.id,
    mediaType: 'application/octet-stream',
    ...(layer && { size: layer.size }),
    ...(layer?.blob && { digest: layer.blob }),
  });
}

function sumsOf({ headers }: IncomingMessage): V1Sums {
  if (
    headers['x-docker-checksum-payload'] === undefined &&
    headers['x-docker-checksum'] === undefined
  ) {
    throw registryError(
      'PRECONDITION_FAILED',
      'X-Docker-Checksum-Payload not set.  If you are using the Docker daemon, you should upgrade to version 0.10 or later',
    );
  }
  const payload = String(headers['x-docker-checksum-payload'] ?? '').trim();
  const tarsum = String(headers['x-docker-checksum'] ?? '').trim();
  if (payload === '' && tarsum === '') {
    throw registryError('REQUEST_INVALID', "Missing Image's checksum");
  }
  return { ...(payload !== '' && { payload }), ...(tarsum !== '' && { tarsum }) };
}
