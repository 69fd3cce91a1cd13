import type { Context } from 'koa';
import type { Digest } from '../../storage/digest.ts';
import type { LayerBody } from '../../storage/v1-images.ts';
import { decideRange, matchesEtag, type RangeDecision, sendBlob, sendEmpty } from '../http.ts';
import type { Registry } from '../registry.ts';
import { allowCaching, layerEtag, notModified } from './image-caching.ts';
import { forbidCaching } from './json.ts';
import { enterImage, imagesOf, report } from './session.ts';

const OCTETS = 'application/octet-stream';

/** `GET` and `HEAD /v1/images/<id>/layer`: the layer as pushed, whole or in part, or where it can be fetched. */
export async function getLayer(ctx: Context, registry: Registry): Promise<void> {
  const request = await enterImage(ctx, registry, 'pull');
  const image = await imagesOf(registry).image(request.id, request.reader);
  const { layer } = image;
  const etag = layerEtag(image);
  if (notModified(ctx, registry, etag)) return;
  if (ctx.method === 'GET') {
    report(ctx, registry, request, 'pull', {
      imageId: image.id,
      mediaType: OCTETS,
      size: layer.size,
      ...(layer.blob && { digest: layer.blob }),
    });
  }
  if (layer.blob && (await redirect(ctx, registry, layer.blob))) return;
  const range = rangeOf(ctx, layer, etag);
  if (range === 'unsatisfiable') return refuseRange(ctx, layer);
  allowCaching(ctx, registry, etag);
  await send(ctx, registry, layer, range);
}

/** Has the web server in front send the file, or the client fetch it from the backend (v1.md 1.4). */
async function redirect(ctx: Context, registry: Registry, blob: Digest): Promise<boolean> {
  const internal = internalLocation(registry, blob);
  if (internal !== undefined) {
    ctx.set({ 'X-Accel-Redirect': internal, 'Content-Type': OCTETS });
    ctx.status = 200;
    ctx.body = Buffer.alloc(0);
    return true;
  }
  const url = await registry.content.blobs.redirectUrl(blob, ctx.method);
  if (!url) return false;
  forbidCaching(ctx);
  ctx.set('Location', url.href);
  sendEmpty(ctx, 302);
  return true;
}

function internalLocation(registry: Registry, blob: Digest): string | undefined {
  const { accelRedirect } = registry.v1;
  if (!accelRedirect) return undefined;
  const file = registry.content.blobs.filename(blob);
  if (!file?.startsWith(accelRedirect.root)) return undefined;
  return `${accelRedirect.prefix}${file.slice(accelRedirect.root.length)}`;
}

/** Ranges by v1.md 1.5: what is no range of bytes, or several, gets the whole layer. */
function rangeOf(ctx: Context, layer: LayerBody, etag: string): RangeDecision {
  const header = ctx.get('range').trim();
  const ifRange = ctx.get('if-range');
  if (!layer.seekable || !/^bytes=(\d+-\d*|-\d+)$/.test(header)) return 'whole';
  if (ifRange !== '' && !matchesEtag(ifRange, etag)) return 'whole';
  return decideRange(header, layer.size);
}

/** Without a body: engines take a 416 with `Content-Length: 0` for the end of a resumed pull. */
function refuseRange(ctx: Context, { size }: LayerBody): void {
  forbidCaching(ctx);
  ctx.set({ 'Accept-Ranges': 'bytes', 'Content-Range': `bytes */${size}` });
  sendEmpty(ctx, 416);
}

async function send(
  ctx: Context,
  registry: Registry,
  layer: LayerBody,
  range: Exclude<RangeDecision, 'unsatisfiable'>,
): Promise<void> {
  const { size, seekable } = layer;
  const length = range === 'whole' ? size : range.end - range.start + 1;
  ctx.set({ 'Content-Type': OCTETS, 'Accept-Ranges': seekable ? 'bytes' : 'none' });
  if (range !== 'whole') ctx.set('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
  ctx.status = range === 'whole' ? 200 : 206;
  if (seekable && layer.blob) {
    const part = range === 'whole' ? undefined : range;
    return sendBlob(ctx, registry.content.blobs, layer.blob, size, part);
  }
  if (ctx.method === 'HEAD') {
    ctx.length = length;
    ctx.respond = false;
    ctx.res.end();
    return;
  }
  ctx.body = await layer.open(range === 'whole' ? undefined : range);
  ctx.length = length;
}
