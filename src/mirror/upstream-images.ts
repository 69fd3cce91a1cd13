import { LRUCache } from 'lru-cache';
import { registryError } from '../../protocols/registry.ts';
import { isDigest } from '../../storage/digest.ts';
import { isImageId, type V1ImageId } from '../../storage/names.ts';
import { MAX_ANCESTRY, parseImageJson } from '../../storage/v1-json.ts';
import type { Claims } from './claims.ts';
import type { UpstreamClient } from './upstream-client.ts';

/** An image as upstream tells of it; its JSON and ancestry agree, its layer was not seen yet. */
export interface UpstreamImage {
  id: V1ImageId;
  json: Buffer;
  /** The image first. */
  ancestry: V1ImageId[];
  /** Bytes of its layer; undefined where upstream does not say. */
  size: number | undefined;
  /** `sha256:…` over JSON and layer; undefined where upstream has none. */
  payload: string | undefined;
  tarsum: string | undefined;
}

const KEPT_BYTES = 16 << 20;
/** Images never change, but an upstream may lose one. */
const KEPT_MS = 10 * 60 * 1000;

/** What upstream says of images, remembered for a while. */
export class UpstreamImages {
  readonly #client: UpstreamClient;
  readonly #claims: Claims;
  readonly #known = new LRUCache<V1ImageId, UpstreamImage>({
    maxSize: KEPT_BYTES,
    ttl: KEPT_MS,
    sizeCalculation: ({ json, ancestry }) => json.length + ancestry.length * 80 + 500,
  });
  readonly #asking = new Map<V1ImageId, Promise<UpstreamImage | undefined>>();

  /** `claims` says through which repositories an upstream may answer that wants tokens. */
  constructor(client: UpstreamClient, claims: Claims) {
    this.#client = client;
    this.#claims = claims;
  }

  /** Undefined for an image that upstream has not, or gives false records of. Throws UNAVAILABLE. */
  get(id: V1ImageId): Promise<UpstreamImage | undefined> {
    const known = this.#known.get(id);
    if (known) return Promise.resolve(known);
    const running = this.#asking.get(id);
    if (running !== undefined) return running;
    const asking = this.#ask(id).finally(() => this.#asking.delete(id));
    this.#asking.set(id, asking);
    return asking;
  }

  async #ask(id: V1ImageId): Promise<UpstreamImage | undefined> {
    const through = () => this.#claims.names(id);
    const [json, ancestry] = await Promise.all([
      this.#client.get('source', `/v1/images/${id}/json`, { through }),
      this.#client.get('source', `/v1/images/${id}/ancestry`, { through }),
    ]);
    if (!json || !ancestry) return undefined;
    const image: UpstreamImage = {
      id,
      json: json.body,
      ancestry: ancestryOf(id, json.body, ancestry.body),
      size: sizeOf(json.headers.get('x-docker-size')),
      payload: payloadOf(json.headers),
      tarsum: tarsumOf(json.headers),
    };
    this.#known.set(id, image);
    if (this.#client.wantsTokens) {
      for (const name of await through()) await this.#claims.add(name, image.ancestry);
    }
    return image;
  }
}

/** Throws UNAVAILABLE for records that contradict each other: nothing is made of them. */
function ancestryOf(id: V1ImageId, json: Buffer, bytes: Buffer): V1ImageId[] {
  try {
    const { parent } = parseImageJson(json, id);
    const list: unknown = JSON.parse(bytes.toString());
    if (!Array.isArray(list) || !list.every((each) => typeof each === 'string' && isImageId(each)))
      throw new Error('the ancestry is no list of image IDs');
    const ancestry = list as V1ImageId[];
    if (ancestry[0] !== id || ancestry[1] !== parent)
      throw new Error('the ancestry does not follow the parents');
    if (ancestry.length > MAX_ANCESTRY || new Set(ancestry).size !== ancestry.length)
      throw new Error('the ancestry is too long or has a loop');
    return ancestry;
  } catch (cause) {
    throw registryError('UNAVAILABLE', `the mirrored registry has false records of image ${id}`, {
      cause,
    });
  }
}

function sizeOf(header: string | null): number | undefined {
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/** docker-registry up to 0.8.1 used other names; several sums come joined by commas. */
function payloadOf(headers: Headers): string | undefined {
  return sumsIn(headers).find((sum) => isDigest(sum));
}

function tarsumOf(headers: Headers): string | undefined {
  return sumsIn(headers).find((sum) => /^tarsum(\.\w+)?\+sha256:[0-9a-f]{64}$/.test(sum));
}

function sumsIn(headers: Headers): string[] {
  const names = [
    'x-docker-checksum-payload',
    'x-docker-payload-checksum',
    'x-docker-checksum',
  ] as const;
  return names.flatMap((name) => (headers.get(name) ?? '').split(',').map((sum) => sum.trim()));
}
