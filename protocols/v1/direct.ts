import type { Handler } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { pullAncestry, pullJson } from './images.ts';
import { pullLayer } from './layers.ts';

const IMAGE = /^\/v1\/images\/([0-9a-f]{64})\/(json|ancestry|layer)$/;
const PARTS = { json: pullJson, ancestry: pullAncestry, layer: pullLayer };

/** The reads of images, which a pull makes parent by parent, told apart without the router. */
export function direct(registry: Registry): (method: string, path: string) => Handler | undefined {
  return (method, path) => {
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    const [, id, part] = IMAGE.exec(path) ?? [];
    if (id === undefined) return undefined;
    const pull = PARTS[part as keyof typeof PARTS];
    return (incoming) => pull(incoming, registry, id);
  };
}
