import { Seeded } from './seeded.ts';
import {
  type Layer,
  type LayerForm,
  makeLayer,
  sha256,
  type TarEntry,
  tarsumOf,
} from './tar-layer.ts';

export interface ImageOptions {
  seed: number;
  layers?: number;
  /** Incompressible bytes in each layer. */
  bytes?: number;
  /** Form of each layer, base first; the list repeats. */
  forms?: LayerForm[];
  /** What the base layer holds besides, such as a shell. */
  base?: TarEntry[];
}

/** One V1 image: an id, its JSON exactly as sent, and its layer. */
export interface V1Image {
  id: string;
  parent: string | undefined;
  json: Buffer;
  layer: Buffer;
  /** `tarsum+sha256:…`, what engines before 0.9 rely on alone. */
  tarsum?: string;
}

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string };
}

/** A manifest with the blobs it names. */
export interface V2Image {
  mediaType: string;
  manifest: Buffer;
  digest: string;
  config: Buffer;
  blobs: Map<string, Buffer>;
  layers: Layer[];
}

/** An index and its children. */
export interface V2Index {
  mediaType: string;
  manifest: Buffer;
  digest: string;
  children: V2Image[];
}

/**
 * Seeded layers, base first: layer n has `layer-n`, rewrites `top`, removes the file of the layer below by a whiteout,
 * and holds links, a folder and `bytes` of noise.
 */
export function makeLayers(options: ImageOptions): Layer[] {
  const { seed, layers = 5, bytes = 2048, forms = ['gzip'] } = options;
  return Array.from({ length: layers }, (_, n) => {
    const random = new Seeded(seed * 1009 + n);
    const entries: TarEntry[] = [
      { name: 'etc/' },
      { name: `etc/layer-${n}`, content: `layer ${n} of seed ${seed}\n` },
      { name: 'top', content: `${n}\n` },
      { name: `short-lived-${n}`, content: 'hidden by the next layer\n' },
      { name: `noise-${n}`, content: random.bytes(bytes), mode: 0o4755, uid: 1000, gid: 1000 },
      { name: `soft-${n}`, link: { type: 'symbolic', target: 'etc/layer-0' }, mode: 0o777 },
      { name: `hard-${n}`, link: { type: 'hard', target: `noise-${n}` } },
    ];
    if (n > 0) entries.push({ name: `.wh.short-lived-${n - 1}` });
    else entries.push(...(options.base ?? []));
    return makeLayer(entries, forms[n % forms.length]);
  });
}

/** Path and text of some files that the unpacked image of `makeLayers` must show; undefined: must not be there. */
export function expectedFiles(options: ImageOptions): Map<string, string | undefined> {
  const { seed, layers = 5 } = options;
  const files = new Map<string, string | undefined>([['top', `${layers - 1}\n`]]);
  for (let n = 0; n < layers; n += 1) {
    files.set(`etc/layer-${n}`, `layer ${n} of seed ${seed}\n`);
    files.set(`short-lived-${n}`, n === layers - 1 ? 'hidden by the next layer\n' : undefined);
  }
  return files;
}

/**
 * A V1 chain, base first, in the JSON styles that engines write: compact, indented with a final newline, and the two
 * keys of engines from 1.10 on. A registry must give each back unchanged.
 */
export function makeV1Chain(options: ImageOptions): V1Image[] {
  const random = new Seeded(options.seed ^ 0x5eed);
  const chain: V1Image[] = [];
  const layers = makeLayers(options);
  for (const [n, layer] of layers.entries()) {
    const id = random.hex(64);
    const parent = chain.at(-1)?.id;
    const json = Buffer.from(v1Json(id, parent, n, n === layers.length - 1));
    chain.push({ id, parent, json, layer: layer.bytes, tarsum: tarsumOf(json, layer) });
  }
  return chain;
}

function v1Json(id: string, parent: string | undefined, n: number, top: boolean): string {
  const line = parent === undefined ? {} : { parent };
  if (!top && n % 3 === 1) return JSON.stringify({ id, ...line });
  const config = {
    Hostname: '',
    Env: ['PATH=/bin', 'GREETING=héllo <&> 日本'],
    Cmd: ['/bin/sh', '-c', `echo ${n} "quoted" \\ back`],
  };
  const image = {
    id,
    ...line,
    created: `2014-05-13T16:53:2${n % 10}.123456789Z`,
    container_config: config,
    docker_version: '1.5.0',
    author: 'Zoë <zoe@example.test>',
    config,
    architecture: 'amd64',
    os: 'linux',
    Size: 4096 + n,
  };
  return n % 3 === 2 ? `${JSON.stringify(image, null, 3)}\n` : JSON.stringify(image);
}

const DOCKER = 'application/vnd.docker.distribution.manifest.v2+json';
const OCI = 'application/vnd.oci.image.manifest.v1+json';
const TYPES = {
  docker: {
    manifest: DOCKER,
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar',
    gzip: '.gzip',
  },
  oci: {
    manifest: OCI,
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar',
    gzip: '+gzip',
  },
};

/** An image manifest, its config and its layers, in docker's or OCI's media types. */
export function makeV2Image(
  options: ImageOptions & { format?: 'docker' | 'oci'; architecture?: string },
): V2Image {
  const types = TYPES[options.format ?? 'docker'];
  const layers = makeLayers(options);
  const config = Buffer.from(
    JSON.stringify({
      architecture: options.architecture ?? 'amd64',
      os: 'linux',
      created: '2020-01-02T03:04:05.678901234Z',
      config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh'] },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map((_, n) => ({ created: '2020-01-02T03:04:05Z', created_by: `step ${n}` })),
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify(
      {
        schemaVersion: 2,
        mediaType: types.manifest,
        config: { mediaType: types.config, size: config.length, digest: sha256(config) },
        layers: layers.map((layer) => ({
          mediaType: layer.bytes === layer.tar ? types.layer : types.layer + types.gzip,
          size: layer.bytes.length,
          digest: layer.digest,
        })),
      },
      null,
      3,
    ),
  );
  const blobs = new Map(layers.map((layer) => [layer.digest, layer.bytes]));
  blobs.set(sha256(config), config);
  return { mediaType: types.manifest, manifest, digest: sha256(manifest), config, blobs, layers };
}

/** An index over one image for each architecture. */
export function makeV2Index(
  options: ImageOptions & { format?: 'docker' | 'oci'; architectures: string[] },
): V2Index {
  const mediaType = TYPES[options.format ?? 'docker'].index;
  const children = options.architectures.map((architecture, n) =>
    makeV2Image({ ...options, seed: options.seed + n, architecture }),
  );
  const manifests: Descriptor[] = children.map((child, n) => ({
    mediaType: child.mediaType,
    digest: child.digest,
    size: child.manifest.length,
    platform: { os: 'linux', architecture: options.architectures[n] ?? '' },
  }));
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }, null, 2));
  return { mediaType, manifest, digest: sha256(manifest), children };
}
