import { createHash, randomBytes } from 'node:crypto';
import { type Answer, headerOf, send } from './http-row.ts';

export type Algorithm = 'sha256' | 'sha512';

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const OCTETS = 'application/octet-stream';
/** What the official conformance suite accepts. */
export const ACCEPT_OCI = `${OCI_INDEX}, ${OCI_MANIFEST}`;

export interface Described {
  mediaType: string;
  digest: string;
  size: number;
  bytes: Buffer;
}

export function digest(bytes: Buffer | string, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

export function describe(
  bytes: Buffer | string,
  mediaType = OCTETS,
  algorithm: Algorithm = 'sha256',
): Described {
  const content = Buffer.from(bytes);
  return { mediaType, digest: digest(content, algorithm), size: content.length, bytes: content };
}

export function randomBlob(
  size = 512,
  mediaType = OCI_LAYER,
  algorithm: Algorithm = 'sha256',
): Described {
  return describe(randomBytes(size), mediaType, algorithm);
}

/** What a manifest says of some content. */
export function descriptor({ mediaType, digest: of, size }: Described): Record<string, unknown> {
  return { mediaType, digest: of, size };
}

export interface ImageParts {
  config?: Described;
  layers?: Described[];
  algorithm?: Algorithm;
  mediaType?: string;
  /** Further fields of the manifest; they win over the usual ones. */
  fields?: Record<string, unknown>;
}

export interface Image extends Described {
  config: Described;
  layers: Described[];
}

/** An image manifest with a config and random layers that are not pushed yet. */
export function image(parts: ImageParts = {}): Image {
  const { algorithm = 'sha256', mediaType = OCI_MANIFEST } = parts;
  const config = parts.config ?? randomConfig(algorithm);
  const layers = parts.layers ?? [randomBlob(300, OCI_LAYER, algorithm)];
  const body = {
    schemaVersion: 2,
    mediaType,
    config: descriptor(config),
    layers: layers.map(descriptor),
    ...parts.fields,
  };
  return { ...describe(JSON.stringify(body), mediaType, algorithm), config, layers };
}

function randomConfig(algorithm: Algorithm): Described {
  const config = { architecture: 'amd64', os: 'linux', author: randomBytes(8).toString('hex') };
  return describe(JSON.stringify(config), OCI_CONFIG, algorithm);
}

/** An index over manifests that are not pushed yet. */
export function index(
  children: Described[],
  fields: Record<string, unknown> = {},
  algorithm: Algorithm = 'sha256',
): Described {
  const body = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: children.map(descriptor),
    ...fields,
  };
  return describe(JSON.stringify(body), OCI_INDEX, algorithm);
}

/** Resolves a Location as a client does, and adds a query parameter without losing those that it has. */
export function locate(base: string, location: string, query: Record<string, string> = {}): string {
  const url = new URL(location, base);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  return url.href;
}

/** Pushes to one registry by plain requests; each throws unless it is accepted. */
export class Pusher {
  readonly #base: () => string;

  constructor(base: () => string) {
    this.#base = base;
  }

  /** Opens an upload and gives its location as an absolute URL. */
  async open(name: string): Promise<string> {
    const answer = await send(`${this.#base()}/v2/${name}/blobs/uploads/`, { method: 'POST' });
    return locate(this.#base(), headerOf(accepted(answer, 202), 'location'));
  }

  async blob(name: string, blob: Described): Promise<Described> {
    const url = locate(this.#base(), await this.open(name), { digest: blob.digest });
    accepted(await send(url, { method: 'PUT', body: blob.bytes }), 201);
    return blob;
  }

  /** Puts a manifest under a tag, or under its digest, and gives the answer. */
  async manifest(name: string, manifest: Described, reference?: string): Promise<Answer> {
    const url = `${this.#base()}/v2/${name}/manifests/${reference ?? manifest.digest}`;
    const headers = { 'content-type': manifest.mediaType };
    return accepted(await send(url, { method: 'PUT', headers, body: manifest.bytes }), 201);
  }

  /** Pushes an image with all that it names. */
  async image(name: string, pushed: Image = image(), reference?: string): Promise<Image> {
    for (const blob of [pushed.config, ...pushed.layers]) await this.blob(name, blob);
    await this.manifest(name, pushed, reference);
    return pushed;
  }
}

function accepted(answer: Answer, status: number): Answer {
  if (answer.status === status) return answer;
  throw new Error(`${answer.status} instead of ${status}: ${answer.body.toString()}`);
}
