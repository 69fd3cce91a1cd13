import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { StorageDriver } from '../../storage/driver.ts';
import { type Answer, header, jsonOf, request } from './http-client.ts';
import { sha256 } from './tar-layer.ts';

export const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
export const SCHEMA2 = 'application/vnd.docker.distribution.manifest.v2+json';
export const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const OCI = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX = 'application/vnd.oci.image.index.v1+json';

/** An image of a V1 chain, ready to be sent. */
export interface ChainImage {
  id: string;
  json: Buffer;
  layer: Buffer;
}

/** What a V1 client sees of an image. */
export interface SeenImage {
  json: Buffer;
  ancestry: string[];
  layer: Buffer;
  /** X-Docker-Size. */
  size: number;
}

/** Both protocols of one registry by plain requests, in as few words as tests of the bridge can bear. */
export class BridgeClient {
  readonly #base: () => string;

  constructor(base: () => string) {
    this.#base = base;
  }

  call(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Buffer | string,
  ): Promise<Answer> {
    return request(this.#base() + path, { method, headers, ...(body !== undefined && { body }) });
  }

  /** As `call`; fails unless the status is this one. */
  async expect(status: number, ...call: Parameters<BridgeClient['call']>): Promise<Answer> {
    const answer = await this.call(...call);
    const said = answer.body.toString().slice(0, 500);
    assert.equal(answer.status, status, `${call[0]} ${call[1]}: ${said}`);
    return answer;
  }

  /** Sends one image: JSON, layer, payload checksum. */
  async pushV1Image({ id, json, layer }: ChainImage): Promise<void> {
    await this.expect(200, 'PUT', `/v1/images/${id}/json`, {}, json);
    await this.expect(200, 'PUT', `/v1/images/${id}/layer`, {}, layer);
    const sum = createHash('sha256').update(json).update('\n').update(layer).digest('hex');
    const headers = { 'x-docker-checksum-payload': `sha256:${sum}` };
    await this.expect(200, 'PUT', `/v1/images/${id}/checksum`, headers);
  }

  /** Sends what is missing of a chain, base first, and tags its top. */
  async pushV1(name: string, tag: string, chain: readonly ChainImage[]): Promise<void> {
    for (const image of chain) {
      const probe = await this.call('GET', `/v1/images/${image.id}/json`);
      if (probe.status !== 200) await this.pushV1Image(image);
    }
    await this.tagV1(name, tag, chain.at(-1)?.id ?? '');
  }

  async tagV1(name: string, tag: string, id: string): Promise<void> {
    await this.expect(200, 'PUT', `/v1/repositories/${name}/tags/${tag}`, {}, JSON.stringify(id));
  }

  /** The V1 ID of a tag; undefined for a 404. */
  async v1Tag(name: string, tag: string, userAgent = 'test'): Promise<string | undefined> {
    const path = `/v1/repositories/${name}/tags/${tag}`;
    const answer = await this.call('GET', path, { 'user-agent': userAgent });
    if (answer.status === 404) return undefined;
    assert.equal(answer.status, 200, answer.body.toString());
    return jsonOf<string>(answer);
  }

  async v1Tags(name: string): Promise<Record<string, string>> {
    return jsonOf(await this.expect(200, 'GET', `/v1/repositories/${name}/tags`));
  }

  /** The IDs of the image list. */
  async v1Images(name: string): Promise<string[]> {
    const answer = await this.expect(200, 'GET', `/v1/repositories/${name}/images`);
    return jsonOf<{ id: string }[]>(answer).map(({ id }) => id);
  }

  async v1Image(id: string): Promise<SeenImage> {
    const json = await this.expect(200, 'GET', `/v1/images/${id}/json`);
    const ancestry = await this.expect(200, 'GET', `/v1/images/${id}/ancestry`);
    const layer = await this.expect(200, 'GET', `/v1/images/${id}/layer`);
    return {
      json: json.body,
      ancestry: jsonOf(ancestry),
      layer: layer.body,
      size: Number(header(json.headers, 'x-docker-size')),
    };
  }

  async pushBlob(name: string, bytes: Buffer): Promise<string> {
    const digest = sha256(bytes);
    await this.expect(201, 'POST', `/v2/${name}/blobs/uploads/?digest=${digest}`, {}, bytes);
    return digest;
  }

  async pushManifest(
    name: string,
    reference: string,
    bytes: Buffer,
    mediaType: string,
  ): Promise<void> {
    const path = `/v2/${name}/manifests/${reference}`;
    await this.expect(201, 'PUT', path, { 'content-type': mediaType }, bytes);
  }

  /** A manifest; without `accept` no Accept header is sent. */
  manifest(name: string, reference: string, accept?: string, userAgent = 'test'): Promise<Answer> {
    return this.call('GET', `/v2/${name}/manifests/${reference}`, {
      'user-agent': userAgent,
      ...(accept !== undefined && { accept }),
    });
  }

  /** The digest that a tag has for a client that reads everything; undefined for a 404. */
  async digestOf(name: string, tag: string): Promise<string | undefined> {
    const accept = [SCHEMA2, LIST, OCI, INDEX].join(', ');
    const answer = await this.call('HEAD', `/v2/${name}/manifests/${tag}`, { accept });
    return answer.status === 200 ? header(answer.headers, 'docker-content-digest') : undefined;
  }

  async v2Tags(name: string): Promise<string[]> {
    const answer = await this.expect(200, 'GET', `/v2/${name}/tags/list`);
    return jsonOf<{ tags: string[] | null }>(answer).tags ?? [];
  }
}

/** The signed bytes of a schema 1 document: the first `formatLength` bytes and the decoded tail. */
export function payloadOf(document: Buffer): Buffer {
  const { signatures } = JSON.parse(document.toString()) as { signatures: { protected: string }[] };
  const text = Buffer.from(signatures[0]?.protected ?? '', 'base64url').toString();
  const { formatLength, formatTail } = JSON.parse(text) as {
    formatLength: number;
    formatTail: string;
  };
  return Buffer.concat([document.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
}

/** Removes all that the bridge derived and could derive again, as an operator might to save space. */
export async function wipeDerived(driver: StorageDriver): Promise<void> {
  for (const folder of ['manifests', 'facts', 'blobs', 'diffs', 'chains']) {
    await driver.delete(`/docker/registry/v1/${folder}`);
  }
}

/** Digests of all blobs that are stored. */
export async function storedBlobs(driver: StorageDriver): Promise<Set<string>> {
  const root = '/docker/registry/v2/blobs/sha256';
  const found = new Set<string>();
  for await (const shard of driver.list(root)) {
    for await (const hex of driver.list(`${root}/${shard}`)) found.add(`sha256:${hex}`);
  }
  return found;
}
