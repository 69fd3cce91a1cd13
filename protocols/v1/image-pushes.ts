import type { IncomingMessage } from 'node:http';
import { type Readable, Transform } from 'node:stream';
import type Router from '@koa/router';
import type { Context } from 'koa';
import { parseImageJson } from '../../storage/v1-json.ts';
import type { V1Sums } from '../../storage/v1-store.ts';
import { readBody } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { sendJson } from './json.ts';
import { enterImage, type ImageRequest, imagesOf, report, requireListed } from './session.ts';
import { objectionTo } from './signals.ts';

/** Writing images: JSON, then layer, then checksum (v1.md 1.6). */
export function imagePushRoutes(router: Router, registry: Registry): void {
  router.put('/v1/images/:id/json', (ctx) => putJson(ctx, registry));
  router.put('/v1/images/:id/layer', (ctx) => putLayer(ctx, registry));
  router.put('/v1/images/:id/checksum', (ctx) => putChecksum(ctx, registry));
}

/** Read raw: the payload sum covers these very bytes. */
async function putJson(ctx: Context, registry: Registry): Promise<void> {
  const { id, reader, session } = await enterImage(ctx, registry, String(ctx.params.id), 'push');
  const json = await readBody(ctx.req, registry.limits.jsonBytes);
  parseImageJson(json, id);
  requireListed(session, id);
  await imagesOf(registry).putJson(id, json, reader, objectionTo(registry, json));
  sendJson(ctx, 200, true);
}

async function putLayer(ctx: Context, registry: Registry): Promise<void> {
  const { id, reader } = await enterImage(ctx, registry, String(ctx.params.id), 'push');
  const body = limited(ctx.req, registry.limits.layerBytes);
  try {
    await imagesOf(registry).putLayer(id, body, reader);
  } catch (error) {
    if (!isBrokenOff(ctx.req, error)) throw error;
    throw registryError('REQUEST_INVALID', 'the request ended before its layer was complete', {
      cause: error,
    });
  }
  sendJson(ctx, 200, true);
}

/** The layer, up to `limit` bytes; TOO_LARGE beyond, at once where the client says how many will come. */
function limited(request: IncomingMessage, limit: number | undefined): Readable {
  if (limit === undefined) return request;
  const refusal = () => registryError('TOO_LARGE', `a layer may have ${limit} bytes at most`);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw refusal();
  let size = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > limit) done(refusal());
      else done(null, chunk);
    },
  });
  // The counter carries every error to its reader. The request must outlive a refusal, to be answered.
  request.on('error', (error) => counter.destroy(error));
  return request.pipe(counter);
}

function isBrokenOff(request: IncomingMessage, error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ECONNRESET' && !request.complete;
}

/**
 * Engines from 0.10 on send both sums; those of 0.7 to 0.9 send a tarsum that is right and no payload sum, or a wrong
 * one (v1.md 2.7), so either will do.
 */
async function putChecksum(ctx: Context, registry: Registry): Promise<void> {
  const request = await enterImage(ctx, registry, String(ctx.params.id), 'push');
  const sums = sumsOf(ctx);
  await imagesOf(registry).putChecksum(request.id, sums, request.reader);
  if (registry.events.active !== false) await reportPush(ctx, registry, request);
  sendJson(ctx, 200, true);
}

async function reportPush(ctx: Context, registry: Registry, request: ImageRequest): Promise<void> {
  const layer = (await registry.content.v1.find(request.id, request.reader))?.layer;
  report(ctx, registry, request, 'push', {
    imageId: request.id,
    mediaType: 'application/octet-stream',
    ...(layer && { size: layer.size }),
    ...(layer?.blob && { digest: layer.blob }),
  });
}

function sumsOf(ctx: Context): V1Sums {
  const { headers } = ctx.req;
  if (
    headers['x-docker-checksum-payload'] === undefined &&
    headers['x-docker-checksum'] === undefined
  ) {
    throw registryError(
      'PRECONDITION_FAILED',
      'X-Docker-Checksum-Payload not set.  If you are using the Docker daemon, you should upgrade to version 0.10 or later',
    );
  }
  const payload = ctx.get('x-docker-checksum-payload').trim();
  const tarsum = ctx.get('x-docker-checksum').trim();
  if (payload === '' && tarsum === '') {
    throw registryError('REQUEST_INVALID', "Missing Image's checksum");
  }
  return { ...(payload !== '' && { payload }), ...(tarsum !== '' && { tarsum }) };
}
