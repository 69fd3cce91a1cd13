import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The golden vectors; their README says what each field means. Tests run from the project's root. */
const FOLDER = join(process.cwd(), 'test/fixtures/bridge');

export interface BytesVector {
  base64: string;
  digest: string;
  size: number;
}

export interface LayerVector {
  name: string;
  encoding: string;
  blob: string;
  blobDigest: string;
  blobSize: number;
  diffID: string;
  diffSize: number;
  v2: {
    digest: string;
    size: number;
    diffID: string;
    dockerMediaType: string;
    ociMediaType: string;
  };
}

export interface V1ImageVector {
  id: string;
  parent?: string;
  json: string;
  diffID: string;
  chainID?: string;
}

export interface Schema1Vector {
  repo: string;
  tag: string;
  payload: BytesVector;
  signedExample: string;
  idsTopFirst?: string[];
}

export interface V2ToV1Vector {
  name: string;
  config: BytesVector;
  manifest: BytesVector;
  layers: {
    layer: string;
    diffID: string;
    blobDigest: string;
    v1Body: 'blob' | 'tar';
    v1Size: number;
  }[];
  v1: V1ImageVector[];
  ancestry: string[];
  tagTarget: string;
  dockerSave?: { id: string; json: string }[];
  schema1: Schema1Vector;
}

export interface V1ToV2Vector {
  name: string;
  chain: {
    id: string;
    json: string;
    layer: string;
    blobDigest: string;
    blobSize: number;
    diffID: string;
    v2Digest: string;
    v2Size: number;
    v2DiffID: string;
  }[];
  ancestry: string[];
  config: BytesVector;
  schema2: BytesVector;
  oci: BytesVector;
  schema1: Schema1Vector;
}

export interface Schema1InVector {
  name: string;
  signed: string;
  repo: string;
  tag: string;
  payload: BytesVector;
  layersBaseFirst: { layer: string; blobDigest: string; diffID: string; throwaway: boolean }[];
  config: BytesVector;
  schema2: BytesVector;
  oci: BytesVector;
  v1: V1ImageVector[];
  ancestry: string[];
  tagTarget: string;
}

/** One vector file, as its kind says. */
export function readVector<T>(file: string): T {
  return JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as T;
}

/** Every vector file whose name starts so. */
export function readVectors<T>(prefix: string): [file: string, vector: T][] {
  const files = readdirSync(FOLDER).filter((file) => file.startsWith(prefix));
  if (files.length === 0) throw new Error(`no vectors called ${prefix}…`);
  return files.map((file) => [file, readVector<T>(file)]);
}

export function fromBase64(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

/** Layers by name and by the digest of their blob. */
export function readLayers(): Map<string, LayerVector> {
  const { layers } = readVector<{ layers: LayerVector[] }>('layers.json');
  return new Map(
    layers.flatMap((layer) => [
      [layer.name, layer],
      [layer.blobDigest, layer],
    ]),
  );
}
