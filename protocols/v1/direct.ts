import type { Answer, Incoming } from '../answer.ts';
import type { Handler } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { putChecksum, putJson, putLayer } from './image-pushes.ts';
import { pullAncestry, pullJson } from './images.ts';
import { pullLayer } from './layers.ts';

type ImageHandler = (incoming: Incoming, registry: Registry, id: string) => Promise<Answer>;
type Parts = Record<string, ImageHandler>;

const IMAGE = /^\/v1\/images\/([0-9a-f]{64})\/(json|ancestry|layer|checksum)$/;
const READS: Parts = { json: pullJson, ancestry: pullAncestry, layer: pullLayer };
const WRITES: Parts = { json: putJson, layer: putLayer, checksum: putChecksum };
const METHODS: Record<string, Parts> = { GET: READS, HEAD: READS, PUT: WRITES };

/** The requests for images, which a pull or push makes parent by parent, told apart without the router. */
export function direct(registry: Registry): (method: string, path: string) => Handler | undefined {
  return (method, path) => {
    const [, id, part = ''] = IMAGE.exec(path) ?? [];
    const handle = id === undefined ? undefined : METHODS[method]?.[part];
    if (id === undefined || handle === undefined) return undefined;
    return (incoming) => handle(incoming, registry, id);
  };
}
