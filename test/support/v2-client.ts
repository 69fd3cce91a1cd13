import type { Readable } from 'node:stream';
import { type Answer, type Body, header, jsonOf, open, request } from './http-client.ts';
import type { V2Image, V2Index } from './images.ts';
import { sha256 } from './tar-layer.ts';

/** The registry answered with another status than the ones that the specification allows here. */
export class V2Error extends Error {
  readonly answer: Answer;

  constructor(doing: string, answer: Answer) {
    super(`${doing}: status ${answer.status}: ${answer.body.toString('utf8').slice(0, 300)}`);
    this.name = 'V2Error';
    this.answer = answer;
  }

  /** Codes of the error body. */
  get codes(): string[] {
    return (jsonOf<{ errors?: { code: string }[] }>(this.answer).errors ?? []).map((e) => e.code);
  }
}

export interface PulledManifest {
  bytes: Buffer;
  digest: string;
  mediaType: string;
}

const MANIFEST_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];

/** A small client of the OCI distribution API that checks the status and the digest of everything it gets. */
export class V2Client {
  readonly #base: string;

  /** `base` is `http://HOST:PORT`. */
  constructor(base: string) {
    this.#base = base.replace(/\/+$/, '');
  }

  /** One request, whatever the answer. `path` begins with a slash, or is a Location as the registry sent it. */
  call(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Body,
  ): Promise<Answer> {
    return request(new URL(path, this.#base).href, { method, headers, body });
  }

  async hasBlob(name: string, digest: string): Promise<boolean> {
    const answer = await this.call('HEAD', `/v2/${name}/blobs/${digest}`);
    return expect(answer, [200, 404], `HEAD blob ${digest}`).status === 200;
  }

  /** Starts an upload; the location to send to. */
  async startUpload(name: string): Promise<string> {
    const answer = await this.call('POST', `/v2/${name}/blobs/uploads/`);
    return locationOf(expect(answer, [202], `start an upload in ${name}`));
  }

  /** Adds a chunk at `offset` and gives the next location. */
  async sendChunk(location: string, offset: number, chunk: Buffer): Promise<string> {
    const answer = await this.call(
      'PATCH',
      location,
      {
        'content-type': 'application/octet-stream',
        'content-range': `${offset}-${offset + chunk.length - 1}`,
        'content-length': String(chunk.length),
      },
      chunk,
    );
    expect(answer, [202], `PATCH at ${offset}`);
    const range = header(answer.headers, 'range');
    if (range !== `0-${offset + chunk.length - 1}`) throw new V2Error(`Range is ${range}`, answer);
    return locationOf(answer);
  }

  /** Bytes that an upload holds, by its `Range`; 0 and 1 byte look alike (v2.md 1.12). */
  async uploadOffset(location: string): Promise<number> {
    const answer = expect(await this.call('GET', location), [204], 'status of an upload');
    const end = /^0-(\d+)$/.exec(header(answer.headers, 'range') ?? '')?.[1];
    if (end === undefined) throw new V2Error('an upload without a Range', answer);
    return end === '0' ? 0 : Number(end) + 1;
  }

  async finishUpload(location: string, digest: string, last?: Buffer): Promise<void> {
    const url = new URL(location, this.#base);
    url.searchParams.set('digest', digest);
    const headers = { 'content-type': 'application/octet-stream' };
    expect(
      await this.call('PUT', url.href, headers, last),
      [201],
      `finish the upload of ${digest}`,
    );
  }

  /** Pushes a blob: in one PUT, or in chunks of `chunk` bytes. */
  async pushBlob(name: string, bytes: Buffer, chunk?: number): Promise<string> {
    const digest = sha256(bytes);
    let location = await this.startUpload(name);
    if (chunk === undefined) {
      await this.finishUpload(location, digest, bytes);
      return digest;
    }
    for (let at = 0; at < bytes.length; at += chunk) {
      location = await this.sendChunk(location, at, bytes.subarray(at, at + chunk));
    }
    await this.finishUpload(location, digest);
    return digest;
  }

  /** Streams a blob of unknown length into an upload (chunked transfer coding), as docker does. */
  async streamBlob(name: string, source: Readable, digestOf: () => string): Promise<string> {
    const location = await this.startUpload(name);
    const headers = { 'content-type': 'application/octet-stream' };
    const answer = expect(
      await this.call('PATCH', location, headers, source),
      [202],
      'stream a blob',
    );
    const digest = digestOf();
    await this.finishUpload(locationOf(answer), digest);
    return digest;
  }

  /** Mounts a blob from another repository; false when the registry opened an upload instead. */
  async mount(name: string, digest: string, from: string): Promise<boolean> {
    const query = new URLSearchParams({ mount: digest, from });
    const answer = await this.call('POST', `/v2/${name}/blobs/uploads/?${query}`);
    return expect(answer, [201, 202], `mount ${digest}`).status === 201;
  }

  /** A blob, whole; throws unless it hashes to its digest. */
  async pullBlob(name: string, digest: string): Promise<Buffer> {
    const answer = await this.call('GET', `/v2/${name}/blobs/${digest}`);
    const { body } = expect(answer, [200], `GET blob ${digest}`);
    if (sha256(body) !== digest) throw new Error(`the blob ${digest} hashes to ${sha256(body)}`);
    return body;
  }

  /** A blob as a stream, for those that should not lie in memory. */
  async streamOf(name: string, digest: string): Promise<AsyncIterable<Buffer>> {
    const incoming = await open(`${this.#base}/v2/${name}/blobs/${digest}`);
    if (incoming.statusCode !== 200) {
      incoming.resume();
      throw new Error(`GET blob ${digest}: status ${incoming.statusCode}`);
    }
    return incoming as AsyncIterable<Buffer>;
  }

  /** Stores a manifest under a tag or its digest; gives the digest. */
  async pushManifest(
    name: string,
    reference: string,
    bytes: Buffer,
    mediaType: string,
  ): Promise<string> {
    const path = `/v2/${name}/manifests/${reference}`;
    const answer = expect(
      await this.call('PUT', path, { 'content-type': mediaType }, bytes),
      [201],
      `PUT manifest ${name}:${reference}`,
    );
    const digest = header(answer.headers, 'docker-content-digest');
    if (digest !== sha256(bytes)) throw new V2Error(`the digest is said to be ${digest}`, answer);
    return digest;
  }

  /** A manifest with its exact bytes; throws unless digest, length and type agree. */
  async pullManifest(
    name: string,
    reference: string,
    accept = MANIFEST_TYPES,
  ): Promise<PulledManifest> {
    const path = `/v2/${name}/manifests/${reference}`;
    const answer = await this.call('GET', path, { accept: accept.join(', ') });
    expect(answer, [200], `GET manifest ${name}:${reference}`);
    const digest = header(answer.headers, 'docker-content-digest');
    if (digest !== sha256(answer.body))
      throw new V2Error(`the digest is said to be ${digest}`, answer);
    return { bytes: answer.body, digest, mediaType: header(answer.headers, 'content-type') ?? '' };
  }

  async deleteManifest(name: string, reference: string): Promise<void> {
    const answer = await this.call('DELETE', `/v2/${name}/manifests/${reference}`);
    expect(answer, [202], `DELETE ${name} ${reference}`);
  }

  /** All tags, in the order of the answer. */
  async tags(name: string): Promise<string[]> {
    const answer = expect(
      await this.call('GET', `/v2/${name}/tags/list`),
      [200],
      `tags of ${name}`,
    );
    return jsonOf<{ tags: string[] | null }>(answer).tags ?? [];
  }

  /** Every repository, page by page. */
  async catalog(page = 100): Promise<string[]> {
    const names: string[] = [];
    for (let path = `/v2/_catalog?n=${page}`; path !== ''; ) {
      const answer = expect(await this.call('GET', path), [200], 'the catalog');
      names.push(...jsonOf<{ repositories: string[] }>(answer).repositories);
      path = /^<([^>]+)>; rel="next"$/.exec(header(answer.headers, 'link') ?? '')?.[1] ?? '';
    }
    return names;
  }

  /** Pushes an image's blobs, then its manifest. */
  async pushImage(name: string, reference: string, image: V2Image, chunk?: number): Promise<void> {
    for (const [digest, bytes] of image.blobs) {
      if (!(await this.hasBlob(name, digest))) await this.pushBlob(name, bytes, chunk);
    }
    await this.pushManifest(name, reference, image.manifest, image.mediaType);
  }

  /** Pushes an index with its children. */
  async pushIndex(name: string, reference: string, index: V2Index): Promise<void> {
    for (const child of index.children) await this.pushImage(name, child.digest, child);
    await this.pushManifest(name, reference, index.manifest, index.mediaType);
  }

  /** Pulls what `image` is under `reference` and throws unless every byte is the same. */
  async expectImage(name: string, reference: string, image: V2Image): Promise<void> {
    const { bytes } = await this.pullManifest(name, reference, [image.mediaType]);
    if (!bytes.equals(image.manifest)) throw new Error(`${name}:${reference}: another manifest`);
    for (const digest of image.blobs.keys()) await this.pullBlob(name, digest);
  }
}

function expect(answer: Answer, accepted: number[], doing: string): Answer {
  if (accepted.includes(answer.status)) return answer;
  throw new V2Error(doing, answer);
}

function locationOf(answer: Answer): string {
  const location = header(answer.headers, 'location');
  if (location === undefined) throw new V2Error('an answer without Location', answer);
  return location;
}
