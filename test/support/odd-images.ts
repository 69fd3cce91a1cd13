import { spawnSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import type { ChainImage } from './bridge-client.ts';
import { OCI, SCHEMA2 } from './bridge-client.ts';
import type { SeededRandom } from './seeded-random.ts';
import { makeLayer, sha256, type TarEntry } from './tar-layer.ts';

/** Every form of a layer that a V1 engine could send, or a V2 client lists. */
export type OddForm =
  | 'gzip'
  | 'gzip-members'
  | 'plain'
  | 'unended'
  | 'bzip2'
  | 'xz'
  | 'zstd'
  | 'empty-gzip'
  | 'empty-tar'
  | 'zero-bytes';

export interface OddLayer {
  form: OddForm;
  bytes: Buffer;
  /** The archive inside; of a layer of no bytes, what it means: nothing. */
  tar: Buffer;
}

const COMPRESSORS = (['bzip2', 'xz', 'zstd'] as const).filter(
  (name) => spawnSync(name, ['--version']).status === 0,
);

/** All forms that can be made on this machine. */
export const ODD_FORMS: readonly OddForm[] = [
  'gzip',
  'gzip-members',
  'plain',
  'unended',
  ...COMPRESSORS,
  'empty-gzip',
  'empty-tar',
  'zero-bytes',
];

export function oddLayer(form: OddForm, entries: TarEntry[]): OddLayer {
  const { tar } = makeLayer(entries, 'tar');
  switch (form) {
    case 'gzip':
      return { form, bytes: gzipSync(tar), tar };
    case 'gzip-members':
      return {
        form,
        tar,
        bytes: Buffer.concat(
          [tar.subarray(0, 700), tar.subarray(700)].map((part) => gzipSync(part)),
        ),
      };
    case 'plain':
      return { form, bytes: tar, tar };
    case 'unended': {
      const unended = makeLayer(entries, 'unended').tar;
      return { form, bytes: gzipSync(unended), tar: unended };
    }
    case 'empty-gzip':
      return { form, bytes: gzipSync(Buffer.alloc(1024)), tar: Buffer.alloc(1024) };
    case 'empty-tar':
      return { form, bytes: Buffer.alloc(1024), tar: Buffer.alloc(1024) };
    case 'zero-bytes':
      return { form, bytes: Buffer.alloc(0), tar: Buffer.alloc(0) };
    default: {
      const { stdout } = spawnSync(form, ['-c'], { input: tar, maxBuffer: 1 << 28 });
      return { form, bytes: stdout, tar };
    }
  }
}

export interface OddChain {
  chain: ChainImage[];
  layers: OddLayer[];
}

const TEXTS = [
  'plain',
  'a<b>&c "quoted" \\ back\tslash',
  'Zoë 日本 𝄞 \u2028\u2029 é',
  '\u0001\u007f',
  '',
];
const VERSIONS = ['0.7.6', '1.5.0', '1.8.2', '1.8.3', '1.12.6', '17.03.0-ce', 'dev', ''];

/** A chain such as engines from 0.5 to 1.13 sent, and some that only scripts did. */
export function oddChain(random: SeededRandom, depth: number, forms = ODD_FORMS): OddChain {
  const chain: ChainImage[] = [];
  const layers: OddLayer[] = [];
  for (let n = 0; n < depth; n += 1) {
    const layer = oddLayer(random.pick(forms), oddEntries(random, n));
    const id = random.bytes(32).toString('hex');
    const json = Buffer.from(oddJson(random, id, chain.at(-1)?.id));
    layers.push(layer);
    chain.push({ id, json, layer: layer.bytes });
  }
  return { chain, layers };
}

function oddEntries(random: SeededRandom, n: number): TarEntry[] {
  return [
    { name: `file-${n}`, content: random.bytes(random.below(900)) },
    { name: 'top', content: `${n} ${random.below(1e9)}\n` },
  ];
}

function oddJson(random: SeededRandom, id: string, parent: string | undefined): string {
  const members = [`"id": "${id}"`];
  if (parent) members.push(`"parent":"${parent}"`);
  const text = () => JSON.stringify(random.pick(TEXTS));
  const maybe = (member: () => string) => {
    if (random.below(2) === 0) members.push(member());
  };
  maybe(
    () =>
      `"created": "2014-05-1${random.below(9)}T16:53:20.${random.below(999)}00+0${random.below(9)}:00"`,
  );
  maybe(() => `"docker_version":"${random.pick(VERSIONS)}"`);
  maybe(() => `"author": ${text()}`);
  maybe(() => `"comment":${text()}`);
  maybe(() => '"architecture":"amd64"');
  maybe(() => '"os":"linux"');
  maybe(() => `"Size": ${random.below(1e9)}${random.below(1e9)}`);
  maybe(
    () =>
      `"x_${random.below(100)}":{"big":123456789012345678901234567890,"z":1.0e+2,"a":[${text()}, null]}`,
  );
  maybe(() => `"container_config":{"Cmd":["/bin/sh","-c",${text()}],"Hostname":${text()}}`);
  maybe(() => `"config":{"Env":[${text()}],"Cmd":null,"Labels":{"k":${text()}}}`);
  const space = random.pick(['', ' ', '\n   ']);
  return `{${space}${members.join(`,${space}`)}${space}}${random.pick(['', '\n'])}`;
}

export interface OddManifest {
  mediaType: string;
  manifest: Buffer;
  config: Buffer;
  layers: OddLayer[];
}

/** An image manifest with repeated layers, and a config whose history and keys are what builders made of them. */
export function oddManifest(random: SeededRandom, forms: readonly OddForm[]): OddManifest {
  const distinct = Array.from({ length: 1 + random.below(4) }, (_, n) =>
    oddLayer(random.pick(forms), oddEntries(random, n)),
  );
  const layers = Array.from({ length: random.below(7) }, () => random.pick(distinct));
  const config = Buffer.from(oddConfig(random, layers));
  const isDocker = random.below(2) === 0;
  const mediaType = isDocker ? SCHEMA2 : OCI;
  const described = {
    mediaType: isDocker
      ? 'application/vnd.docker.container.image.v1+json'
      : 'application/vnd.oci.image.config.v1+json',
    size: config.length,
    digest: sha256(config),
  };
  const body = {
    schemaVersion: 2,
    mediaType,
    config: described,
    layers: layers.map((layer) => ({
      mediaType: isDocker
        ? 'application/vnd.docker.image.rootfs.diff.tar.gzip'
        : `application/vnd.oci.image.layer.v1.tar${layer.form === 'zstd' ? '+zstd' : '+gzip'}`,
      size: layer.bytes.length,
      digest: sha256(layer.bytes),
    })),
  };
  const manifest = Buffer.from(JSON.stringify(body, null, random.below(4)));
  return { mediaType, manifest, config, layers };
}

function oddConfig(random: SeededRandom, layers: OddLayer[]): string {
  const ids = layers.map(({ tar }) => JSON.stringify(sha256(tar)));
  const text = () => JSON.stringify(random.pick(TEXTS));
  const members = [`"rootfs":{"type":"layers","diff_ids":[${ids.join(', ')}]}`];
  const maybe = (member: () => string) => {
    if (random.below(2) === 0) members.push(member());
  };
  const entry = () =>
    `{"created":"2020-01-01T00:00:00Z","created_by":${text()}${random.pick(['', ',"empty_layer":true'])}}`;
  maybe(() => `"history":[${Array.from({ length: random.below(9) }, entry).join(',')}]`);
  maybe(() => `"created":${random.pick(['null', '""', '"2020-01-01T00:00:00.5Z"'])}`);
  maybe(() => `"architecture":"amd64","os":"linux","os.version":"10.0","variant":"v8"`);
  maybe(() => `"config":{"Env":[${text()}],"Labels":{"a":${text()},"b":${text()}}}`);
  maybe(() => `"unknown":{"n":18446744073709551616,"f":1.00,"e":-0,"s":${text()}}`);
  maybe(() => `"parent":"${random.bytes(32).toString('hex')}"`);
  maybe(() => `"id":${text()}`);
  return `{${members.join(',')}}`;
}
