import type { IncomingHttpHeaders } from 'node:http';
import type { Digest } from '../../storage/digest.ts';
import { pour } from '../../storage/pour.ts';
import type { LayerBody } from '../../storage/v1-images.ts';
import { internalLocation } from '../accel-redirect.ts';
import { type Answer, answerWith, type BodySource, type Incoming } from '../answer.ts';
import { blobBody, decideRange, matchesEtag, type RangeDecision } from '../http.ts';
import type { Registry } from '../registry.ts';
import { cachingHeaders, layerEtag, notModified } from './image-caching.ts';
import { NOT_CACHED } from './json.ts';
import { enterImage, imagesOf, report } from './session.ts';

const OCTETS = 'application/octet-stream';

/** `GET` and `HEAD /v1/images/<id>/layer`: the layer as pushed, whole or in part, or where it can be fetched. */
export async function pullLayer(
  incoming: Incoming,
  registry: Registry,
  path: string,
): Promise<Answer> {
  const request = await enterImage(incoming, registry, path, 'pull');
  const image = await imagesOf(registry).image(request.id, request.reader);
  const { layer } = image;
  const { method = '', headers } = incoming.req;
  const etag = layerEtag(image);
  const unchanged = notModified(incoming, registry, etag);
  if (unchanged) return unchanged;
  if (method === 'GET') {
    report(incoming, registry, request, 'pull', {
      imageId: image.id,
      mediaType: OCTETS,
      size: layer.size,
      ...(layer.blob && { digest: layer.blob }),
    });
  }
  const elsewhere = layer.blob && (await redirect(registry, layer.blob, method));
  if (elsewhere) return elsewhere;
  const range = rangeOf(headers, layer, etag);
  if (range === 'unsatisfiable') return refuseRange(layer);
  const internal = accelerated(incoming, registry, layer);
  if (internal !== undefined) {
    const facts = ['X-Accel-Redirect', internal, 'Content-Type', OCTETS];
    return { status: 200, headers: [...cachingHeaders(registry, etag), ...facts], length: 0 };
  }
  return answerLayer(registry, layer, range, method, cachingHeaders(registry, etag));
}

/** The location from which the web server in front sends the file. */
function accelerated(
  { req }: Incoming,
  registry: Registry,
  { blob, size }: LayerBody,
): string | undefined {
  if (req.method !== 'GET' || !blob) return undefined;
  return internalLocation(registry, req, blob, size);
}

/** Has the client fetch the layer from the backend (v1.md 1.4). */
async function redirect(
  registry: Registry,
  blob: Digest,
  method: string,
): Promise<Answer | undefined> {
  const { blobs } = registry.content;
  const url = blobs.redirects ? await blobs.redirectUrl(blob, method) : undefined;
  if (!url) return undefined;
  return answerWith(302, [...NOT_CACHED, 'Location', url.href], Buffer.alloc(0));
}

/** Ranges by v1.md 1.5: what is no range of bytes, or several, gets the whole layer. */
function rangeOf(headers: IncomingHttpHeaders, layer: LayerBody, etag: string): RangeDecision {
  const header = headers.range?.trim();
  if (header === undefined || !layer.seekable) return 'whole';
  if (!/^bytes=(\d+-\d*|-\d+)$/.test(header)) return 'whole';
  const ifRange = headers['if-range'];
  if (typeof ifRange === 'string' && ifRange !== '' && !matchesEtag(ifRange, etag)) return 'whole';
  return decideRange(header, layer.size);
}

/** Without a body: engines take a 416 with `Content-Length: 0` for the end of a resumed pull. */
function refuseRange({ size }: LayerBody): Answer {
  const headers = ['Accept-Ranges', 'bytes', 'Content-Range', `bytes */${size}`];
  return answerWith(416, [...NOT_CACHED, ...headers], Buffer.alloc(0));
}

async function answerLayer(
  registry: Registry,
  layer: LayerBody,
  range: Exclude<RangeDecision, 'unsatisfiable'>,
  method: string,
  headers: string[],
): Promise<Answer> {
  const { size, seekable, blob } = layer;
  headers.push('Content-Type', OCTETS, 'Accept-Ranges', seekable ? 'bytes' : 'none');
  const part = range === 'whole' ? undefined : range;
  if (part) headers.push('Content-Range', `bytes ${part.start}-${part.end}/${size}`);
  const answer: Answer = {
    status: part ? 206 : 200,
    headers,
    length: part ? part.end - part.start + 1 : size,
  };
  if (method === 'HEAD') return answer;
  if (seekable && blob) {
    return { ...answer, body: await blobBody(registry.content.blobs, blob, size, part) };
  }
  const opened = await layer.open(part);
  const body: BodySource = (out, begin) => pour(opened, out, begin);
  return { ...answer, body };
}
