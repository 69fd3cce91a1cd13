import type Router from '@koa/router';
import type { Context } from 'koa';
import { digestOf } from '../../storage/digest.ts';
import type { V1Image } from '../../storage/v1-images.ts';
import type { Registry } from '../registry.ts';
import { allowCaching, jsonEtag, notModified } from './image-caching.ts';
import { legacyJson } from './json.ts';
import { getLayer } from './layers.ts';
import { enterImage, imagesOf } from './session.ts';

/** Reading images: JSON, ancestry and layer (v1.md 1.4). */
export function imageRoutes(router: Router, registry: Registry): void {
  router.get('/v1/images/:id/json', (ctx) => getJson(ctx, registry));
  router.get('/v1/images/:id/layer', (ctx) => getLayer(ctx, registry));
  router.get('/v1/images/:id/ancestry', (ctx) => getAncestry(ctx, registry));
}

/** The bytes of the PUT, with the size that engines resume by. */
export async function getJson(ctx: Context, registry: Registry): Promise<void> {
  const { id, reader } = await enterImage(ctx, registry, 'pull');
  const image = await imagesOf(registry).image(id, reader);
  const etag = jsonEtag(image);
  if (notModified(ctx, registry, etag)) return;
  allowCaching(ctx, registry, etag);
  ctx.set('X-Docker-Size', String(image.layer.size));
  setChecksums(ctx, image);
  ctx.status = 200;
  ctx.set('Content-Type', 'application/json');
  ctx.body = image.json;
}

/** One line for each sum; no engine reads them. */
function setChecksums(ctx: Context, { checksums }: V1Image): void {
  const payload = checksums.filter((sum) => sum.startsWith('sha256:'));
  const tarsum = checksums.filter((sum) => !sum.startsWith('sha256:'));
  if (payload.length > 0) ctx.set('X-Docker-Checksum-Payload', payload);
  if (tarsum.length > 0) ctx.set('X-Docker-Checksum', tarsum);
}

/** The image itself first. */
export async function getAncestry(ctx: Context, registry: Registry): Promise<void> {
  const { id, reader } = await enterImage(ctx, registry, 'pull');
  const { ancestry } = await imagesOf(registry).image(id, reader);
  const body = Buffer.from(legacyJson(ancestry));
  const etag = digestOf(body);
  if (notModified(ctx, registry, etag)) return;
  allowCaching(ctx, registry, etag);
  ctx.status = 200;
  ctx.set('Content-Type', 'application/json');
  ctx.body = body;
}
