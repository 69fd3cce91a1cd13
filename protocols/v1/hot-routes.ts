import type { Context } from 'koa';
import type { Registry } from '../registry.ts';
import { getAncestry, getJson } from './images.ts';
import { getLayer } from './layers.ts';

const IMAGE = /^\/v1\/images\/([0-9a-f]{64})\/(json|ancestry|layer)$/;
const HANDLERS = { json: getJson, ancestry: getAncestry, layer: getLayer };

/** The reads of images, which a pull makes parent by parent, told apart without the router. */
export function hotRoutes(registry: Registry) {
  return (method: string, path: string) => {
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    const match = IMAGE.exec(path);
    if (!match) return undefined;
    const handle = HANDLERS[match[2] as keyof typeof HANDLERS];
    return (ctx: Context): Promise<void> => {
      ctx.params = { id: match[1] };
      return handle(ctx, registry);
    };
  };
}
