import type Router from '@koa/router';
import { type Digest, digestOf } from '../../storage/digest.ts';
import type { V1ImageId } from '../../storage/names.ts';
import { type Answer, answerWith, type Incoming, respond } from '../answer.ts';
import type { Registry } from '../registry.ts';
import { cachingHeaders, jsonEtag, notModified } from './image-caching.ts';
import { legacyJson } from './json.ts';
import { pullLayer } from './layers.ts';
import { enterImage, imagesOf } from './session.ts';

const JSON_TYPE = 'application/json';

/** Reading images: JSON, ancestry and layer (v1.md 1.4). */
export function imageRoutes(router: Router, registry: Registry): void {
  const parts = { json: pullJson, layer: pullLayer, ancestry: pullAncestry };
  for (const [part, pull] of Object.entries(parts)) {
    router.get(`/v1/images/:id/${part}`, async (ctx) =>
      respond(ctx, await pull(ctx, registry, String(ctx.params.id))),
    );
  }
}

/** The bytes of the PUT, with the size that engines resume by. */
export async function pullJson(
  incoming: Incoming,
  registry: Registry,
  path: string,
): Promise<Answer> {
  const { id, reader } = await enterImage(incoming, registry, path, 'pull');
  const image = await imagesOf(registry).image(id, reader);
  const etag = jsonEtag(image);
  const unchanged = notModified(incoming, registry, etag);
  if (unchanged) return unchanged;
  const headers = cachingHeaders(registry, etag);
  headers.push('X-Docker-Size', String(image.layer.size));
  for (const sum of image.checksums) headers.push(checksumHeader(sum), sum);
  headers.push('Content-Type', JSON_TYPE);
  return answerWith(200, headers, image.json);
}

/** One line for each sum; no engine reads them. */
function checksumHeader(sum: string): string {
  return sum.startsWith('sha256:') ? 'X-Docker-Checksum-Payload' : 'X-Docker-Checksum';
}

/** The image itself first. */
export async function pullAncestry(
  incoming: Incoming,
  registry: Registry,
  path: string,
): Promise<Answer> {
  const { id, reader } = await enterImage(incoming, registry, path, 'pull');
  const { ancestry } = await imagesOf(registry).image(id, reader);
  const { body, etag } = ancestryBody(ancestry);
  const unchanged = notModified(incoming, registry, etag);
  if (unchanged) return unchanged;
  const headers = cachingHeaders(registry, etag);
  headers.push('Content-Type', JSON_TYPE);
  return answerWith(200, headers, body);
}

const bodies = new WeakMap<readonly V1ImageId[], { body: Buffer; etag: Digest }>();

/** Written once for as long as the image is kept in memory. */
function ancestryBody(ancestry: readonly V1ImageId[]): { body: Buffer; etag: Digest } {
  let known = bodies.get(ancestry);
  if (known === undefined) {
    const body = Buffer.from(legacyJson(ancestry));
    known = { body, etag: digestOf(body) };
    bodies.set(ancestry, known);
  }
  return known;
}
