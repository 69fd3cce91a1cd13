import type { Connection } from './connection.ts';
import { type Content, chunked, type Image, MANIFEST, slice } from './content.ts';
import { pool } from './sampling.ts';
import { ACCEPT, addQuery, locationOf, must, type Target } from './target.ts';

const OCTETS = 'Content-Type: application/octet-stream\r\n';

/** Docker's own numbers. */
const UPLOADS_AT_ONCE = 5;
const DOWNLOADS_AT_ONCE = 3;

type Push = (
  target: Target,
  connection: Connection,
  repository: string,
  blob: Content,
) => Promise<void>;

async function start(target: Target, connection: Connection, repository: string): Promise<string> {
  const reply = await target.request(connection, 'POST', `/v2/${repository}/blobs/uploads/`);
  return locationOf(must(reply, 202));
}

/** POST, and PUT with the whole. */
export const pushWhole: Push = async (target, connection, repository, { digest, parts }) => {
  const location = await start(target, connection, repository);
  const path = addQuery(location, `digest=${digest}`);
  must(await target.request(connection, 'PUT', path, { headers: OCTETS, body: parts }), 201);
};

/** POST, a PATCH for each `bytes`, and PUT. */
export function pushInParts(bytes: number): Push {
  return async (target, connection, repository, { digest, parts, size }) => {
    let location = await start(target, connection, repository);
    for (let at = 0; at < size; at += bytes) {
      const end = Math.min(at + bytes, size);
      const headers = `${OCTETS}Content-Range: ${at}-${end - 1}\r\n`;
      const body = slice(parts, at, end);
      const reply = await target.request(connection, 'PATCH', location, { headers, body });
      location = locationOf(must(reply, 202));
    }
    must(await target.request(connection, 'PUT', addQuery(location, `digest=${digest}`)), 201);
  };
}

/** As docker does: POST, one PATCH in chunked transfer coding, and PUT. */
const pushStream: Push = async (target, connection, repository, { digest, parts }) => {
  const location = await start(target, connection, repository);
  const headers = `${OCTETS}Transfer-Encoding: chunked\r\n`;
  const body = [chunked(parts)];
  const reply = must(await target.request(connection, 'PATCH', location, { headers, body }), 202);
  const path = addQuery(locationOf(reply), `digest=${digest}`);
  must(await target.request(connection, 'PUT', path), 201);
};

/** Makes a blob of one repository visible in another; gives false where the server wants its bytes instead. */
export async function mount(
  target: Target,
  connection: Connection,
  repository: string,
  blob: Content,
  from: string,
): Promise<boolean> {
  const query = `mount=${blob.digest}&from=${from}`;
  const path = `/v2/${repository}/blobs/uploads/?${query}`;
  const reply = must(await target.request(connection, 'POST', path), 201, 202);
  if (reply.status === 201) return true;
  const put = addQuery(locationOf(reply), `digest=${blob.digest}`);
  must(await target.request(connection, 'PUT', put, { headers: OCTETS, body: blob.parts }), 201);
  return false;
}

export async function hasBlob(
  target: Target,
  connection: Connection,
  repository: string,
  digest: string,
): Promise<boolean> {
  const path = `/v2/${repository}/blobs/${digest}`;
  return (await target.request(connection, 'HEAD', path)).status === 200;
}

export async function putManifest(
  target: Target,
  connection: Connection,
  repository: string,
  reference: string,
  manifest: Content,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${reference}`;
  const headers = `Content-Type: ${MANIFEST}\r\n`;
  must(await target.request(connection, 'PUT', path, { headers, body: manifest.parts }), 201);
}

export async function pushImage(
  target: Target,
  repository: string,
  tag: string,
  { layers, config, manifest }: Image,
): Promise<void> {
  await pool(target, UPLOADS_AT_ONCE, layers.length, async (connection, n) => {
    const layer = layers[n] as Content;
    if (await hasBlob(target, connection, repository, layer.digest)) return;
    await pushStream(target, connection, repository, layer);
  });
  const { connection } = target;
  if (!(await hasBlob(target, connection, repository, config.digest))) {
    await pushWhole(target, connection, repository, config);
  }
  await putManifest(target, connection, repository, tag, manifest);
}

interface PulledManifest {
  config: { digest: string };
  layers: { digest: string; size: number }[];
}

/** Gives the bytes of config and layers. */
export async function pullImage(target: Target, repository: string, tag: string): Promise<number> {
  const { connection } = target;
  const below = `/v2/${repository}`;
  const get = async (path: string, collect = false) =>
    must(await target.request(connection, 'GET', path, { headers: ACCEPT, collect }), 200);
  const path = `${below}/manifests/${tag}`;
  const head = must(await target.request(connection, 'HEAD', path, { headers: ACCEPT }), 200);
  const digest = head.header('docker-content-digest') ?? tag;
  const { body } = await get(`${below}/manifests/${digest}`, true);
  const manifest = JSON.parse(body.toString()) as PulledManifest;
  let { bytes } = await get(`${below}/blobs/${manifest.config.digest}`);
  await pool(target, DOWNLOADS_AT_ONCE, manifest.layers.length, async (each, n) => {
    const layer = manifest.layers[n] as PulledManifest['layers'][number];
    const reply = must(await target.request(each, 'GET', `${below}/blobs/${layer.digest}`), 200);
    if (reply.bytes !== layer.size) throw new Error(`a layer of ${reply.bytes} bytes`);
    bytes += reply.bytes;
  });
  return bytes;
}
