import { type Answer, check, headerOf, send } from './http-row.ts';
import {
  type Algorithm,
  type Described,
  locate,
  OCTETS,
  Pusher,
  randomBlob,
} from './oci-content.ts';

/** Bytes of a chunk, of those that come in chunks. */
export const CHUNK = 1024;

/** The requests that pushes of blobs are made of, to the registry at `base`. */
export function blobSteps(algorithm: Algorithm, base: () => string) {
  const name = 'conformance/repo1';
  const other = 'conformance/repo2';
  const push = new Pusher(base);
  const fresh = (size = 512): Described => randomBlob(size, OCTETS, algorithm);
  const start = (query = '', repository = name): Promise<Answer> =>
    send(`${base()}/v2/${repository}/blobs/uploads/${query}`, { method: 'POST' });
  const put = (location: string, of: string, body?: Buffer, headers = {}): Promise<Answer> =>
    send(locate(base(), location, { digest: of }), {
      method: 'PUT',
      headers: { 'content-type': OCTETS, ...headers },
      ...(body && { body }),
    });
  const patch = (location: string, body: Buffer, range?: string): Promise<Answer> =>
    send(locate(base(), location), {
      method: 'PATCH',
      headers: { 'content-type': OCTETS, ...(range && { 'content-range': range }) },
      body,
    });
  const status = (location: string): Promise<Answer> => send(locate(base(), location));
  const locationOf = (answer: Answer): string => headerOf(answer, 'location');
  const chunkOf = (blob: Described, at: number): [Buffer, string] => {
    const body = blob.bytes.subarray(at, at + CHUNK);
    return [body, `${at}-${at + body.length - 1}`];
  };

  /** The blob can be had at the Location of the answer that accepted it, and over HEAD. */
  const expectStored = async (answer: Answer, blob: Described): Promise<void> => {
    check(answer, { status: 201, headers: { 'docker-content-digest': blob.digest } });
    check(await send(locate(base(), locationOf(answer))), { status: 200, body: blob.bytes });
    const headers = { 'content-length': String(blob.size), 'docker-content-digest': blob.digest };
    const url = `${base()}/v2/${name}/blobs/${blob.digest}`;
    check(await send(url, { method: 'HEAD' }), { status: 200, headers });
  };

  /** Pushes in chunks, as the official suite does, with a chunk in the wrong place before each one if wanted. */
  const pushChunks = async (
    blob: Described,
    options: { disorder?: boolean; last: 'patch' | 'put' },
  ): Promise<Answer> => {
    let location = locationOf(await start());
    for (let at = 0; at < blob.size; at += CHUNK) {
      if (options.disorder) location = await pushWrong(blob, at, location, options.last);
      const [body, range] = chunkOf(blob, at);
      const isLast = at + CHUNK >= blob.size;
      if (isLast && options.last === 'put') {
        return put(location, blob.digest, body, { 'content-range': range });
      }
      const answer = await patch(location, body, range);
      check(answer, { status: 202, headers: { range: `0-${at + body.length - 1}` } });
      location = locationOf(answer);
    }
    return put(location, blob.digest);
  };

  const pushWrong = async (
    blob: Described,
    at: number,
    location: string,
    last: 'patch' | 'put',
  ): Promise<string> => {
    const wrong = at + CHUNK < blob.size ? at + CHUNK : 0;
    const [body, range] = chunkOf(blob, wrong);
    const closes = last === 'put' && wrong + CHUNK >= blob.size;
    const refused = closes
      ? await put(location, blob.digest, body, { 'content-range': range })
      : await patch(location, body, range);
    check(refused, { status: 416, code: 'RANGE_INVALID' });
    const now = await status(locationOf(refused));
    check(now, { status: 204, headers: { range: `0-${Math.max(at - 1, 0)}` } });
    return locationOf(now);
  };

  return {
    name,
    other,
    push,
    fresh,
    start,
    put,
    patch,
    status,
    locationOf,
    chunkOf,
    expectStored,
    pushChunks,
    pushWrong,
  };
}
