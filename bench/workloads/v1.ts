import { randomBytes } from 'node:crypto';
import { blobOf, chunked, MIB, sha256 } from '../content.ts';
import { measured } from '../sampling.ts';
import { must, type Target } from '../target.ts';
import { hot } from './reads.ts';
import type { Workload } from './workload.ts';

const DEPTH = 20;
const JSON_TYPE = 'Content-Type: application/json\r\n';
/** Headers that an engine of the V1 age sends with each request. */
const ENGINE = 'X-Docker-Token: true\r\n';

interface V1Image {
  id: string;
  json: Buffer;
  layer: Buffer;
  /** The same, as a list for those who send it. */
  layers: readonly Buffer[];
  checksum: string;
}

/** A tar archive of one file. */
function tarOf(data: readonly Buffer[], size: number): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write('data', 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(size, 11), 124);
  header.write(octal(0, 11), 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, ...data, Buffer.alloc(((512 - (size % 512)) % 512) + 1024)]);
}

/** A chain of images of 1 MiB, base first; with a name, the same one each time. */
function chainOf(depth: number, name?: string): V1Image[] {
  const chain: V1Image[] = [];
  for (let n = 0; n < depth; n += 1) {
    const id = name === undefined ? randomBytes(32).toString('hex') : sha256(`${name}/${n}`);
    const parent = chain.at(-1)?.id;
    const json = Buffer.from(
      JSON.stringify({
        id,
        ...(parent !== undefined && { parent }),
        created: '2014-06-01T00:00:00.000000000Z',
        container_config: { Cmd: ['/bin/sh', '-c', `step ${n}`], Env: ['PATH=/bin'] },
        docker_version: '1.6.0',
        config: { Cmd: ['/bin/bash'] },
        architecture: 'amd64',
        os: 'linux',
        Size: MIB,
      }),
    );
    const { parts } = blobOf(MIB, name === undefined ? undefined : `${name}/${n}`);
    const layer = tarOf(parts, MIB);
    chain.push({
      id,
      json,
      layer,
      layers: [layer],
      checksum: `sha256:${sha256(json, '\n', layer)}`,
    });
  }
  return chain;
}

/** The token that a registry gave for the rest of the push or pull, as a header. */
const tokenOf = (header: string | undefined) =>
  header === undefined ? '' : `Authorization: Token ${header.replace(/^Token\s+/i, '')}\r\n`;

/** Gives the chain's layers in the transfer coding of a push, before the clock starts. */
function encoded(chain: readonly V1Image[]): readonly V1Image[] {
  for (const { layers } of chain) chunked(layers);
  return chain;
}

async function pushChain(
  target: Target,
  repository: string,
  chain: readonly V1Image[],
): Promise<void> {
  const { connection } = target;
  const top = chain.at(-1) as V1Image;
  const put = async (path: string, headers: string, body?: Buffer) =>
    must(
      await target.request(connection, 'PUT', `/v1/${path}`, {
        headers,
        ...(body && { body: [body] }),
        collect: true,
      }),
      200,
      201,
      204,
    );
  const list = chain.map(({ id }) => ({ id, Tag: id === top.id ? 'latest' : '' }));
  const name = `repositories/${repository}`;
  const announced = await put(`${name}/`, JSON_TYPE + ENGINE, Buffer.from(JSON.stringify(list)));
  const token = tokenOf(announced.header('x-docker-token'));
  for (const { id, json, layers, checksum } of chain) {
    const path = `/v1/images/${id}/json`;
    must(await target.request(connection, 'GET', path, { headers: token }), 404);
    await put(`images/${id}/json`, token + JSON_TYPE, json);
    await put(`images/${id}/layer`, `${token}Transfer-Encoding: chunked\r\n`, chunked(layers));
    await put(`images/${id}/checksum`, `${token}X-Docker-Checksum-Payload: ${checksum}\r\n`);
  }
  await put(`${name}/tags/latest`, token + JSON_TYPE, Buffer.from(JSON.stringify(top.id)));
  const sums = chain.map(({ id, checksum }) => ({ id, checksum }));
  const endpoints = 'X-Docker-Endpoints: 127.0.0.1\r\n';
  await put(`${name}/images`, token + JSON_TYPE + endpoints, Buffer.from(JSON.stringify(sums)));
}

/** Image by image, one after the other, as engines did; gives the bytes of the layers. */
async function pullChain(target: Target, repository: string): Promise<number> {
  const { connection } = target;
  let token = ENGINE;
  const get = async (path: string, collect = true) =>
    must(await target.request(connection, 'GET', `/v1/${path}`, { headers: token, collect }), 200);
  const images = await get(`repositories/${repository}/images`);
  token = tokenOf(images.header('x-docker-token'));
  const tags = JSON.parse((await get(`repositories/${repository}/tags`)).body.toString());
  const top: string = tags.latest;
  const ancestry: string[] = JSON.parse((await get(`images/${top}/ancestry`)).body.toString());
  if (ancestry.length !== DEPTH) throw new Error(`an ancestry of ${ancestry.length} images`);
  let bytes = 0;
  for (const id of ancestry.reverse()) {
    await get(`images/${id}/json`);
    bytes += (await get(`images/${id}/layer`, false)).bytes;
  }
  return bytes;
}

/** The chain that every target is given. */
export const SEEDED = chainOf(DEPTH, 'v1seed');
const TOP = (SEEDED.at(-1) as V1Image).id;
const REPOSITORY = 'bench/v1chain';

/** Whether the server compares what it got with the checksum that the client says. */
export async function refusesWrongChecksum(target: Target): Promise<boolean> {
  const { id, json, layers } = chainOf(1)[0] as V1Image;
  const put = (what: string, headers: string, body: readonly Buffer[] = []) =>
    target.request(target.connection, 'PUT', `/v1/images/${id}/${what}`, { headers, body });
  await put('json', JSON_TYPE, [json]);
  await put('layer', 'Transfer-Encoding: chunked\r\n', [chunked(layers)]);
  const { status } = await put('checksum', `X-Docker-Checksum-Payload: sha256:${sha256('x')}\r\n`);
  return status >= 400 && status < 500;
}

export async function seedV1(target: Target): Promise<void> {
  const path = `/v1/images/${TOP}/json`;
  const { status } = await target.request(target.connection, 'GET', path);
  if (status !== 200) await pushChain(target, REPOSITORY, SEEDED);
}

function small(what: string, of: string, path: string, connections: number): Workload {
  const id = `v1a.${what}.c${connections}`;
  return {
    id,
    title: `${what} of a V1 ${of}, c=${connections}`,
    kind: 'requests',
    v1: true,
    async run(target, _seed, scale) {
      const head = target.head('GET', path);
      const { bytes } = must(await target.request(target.connection, 'GET', path), 200);
      const request = { next: () => head, bodyBytes: bytes };
      return hot(target, scale, request, { connections, name: id });
    },
  };
}

const ofTop = (what: string, connections: number) =>
  small(what, 'image', `/v1/images/${TOP}/${what}`, connections);

/** v1a to v1c: the old protocol. */
export const V1: Workload[] = [
  ...[1, 16].flatMap((connections) => [ofTop('json', connections), ofTop('ancestry', connections)]),
  small('tags', 'repository', `/v1/repositories/${REPOSITORY}/tags`, 1),
  {
    id: 'v1b.pull',
    title: `V1 pull of ${DEPTH} images of 1 MiB`,
    kind: 'time',
    v1: true,
    run: (target) =>
      measured(target, async () => ({ count: 1, bytes: await pullChain(target, REPOSITORY) })),
  },
  {
    id: 'v1c.push',
    title: `V1 push of ${DEPTH} images of 1 MiB`,
    kind: 'time',
    v1: true,
    writes: true,
    async run(target, seed, { run }) {
      const chain = encoded(chainOf(DEPTH));
      const repository = `bench/v1new${seed.next()}${run}`;
      return measured(target, async () => {
        await pushChain(target, repository, chain);
        return { count: 1, bytes: DEPTH * MIB };
      });
    },
  },
];
