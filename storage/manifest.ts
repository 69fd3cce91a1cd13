import { isUtf8 } from 'node:buffer';
import { type Digest, type DigestAlgorithm, digestOf, isDigest } from './digest.ts';
import { type RegistryError, storageError } from './errors.ts';
import {
  DOCKER_MANIFEST,
  DOCKER_MANIFEST_LIST,
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_ARTIFACT,
  OCI_INDEX,
  OCI_MANIFEST,
} from './media-types.ts';

/** OCI image-spec, image index, `platform`. */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

/** OCI image-spec "Descriptor", the fields that the store looks at. */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes. */
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
  platform?: Platform;
  urls?: string[];
}

export type ManifestKind = 'image' | 'index' | 'schema1' | 'artifact';

/** A manifest with the bytes it arrived with, and what the store needs to know of them. */
export interface Manifest {
  bytes: Buffer;
  descriptor: Descriptor;
  kind: ManifestKind;
  /** Of an image manifest. */
  config?: Descriptor;
  /** Blobs in the order of the document: layers of an image, blobs of an artifact. */
  layers: Descriptor[];
  /** Manifests that an index names. */
  manifests: Descriptor[];
  /** The manifest that this one refers to (OCI image-spec 1.1 `subject`). */
  subject?: Descriptor;
  artifactType?: string;
  annotations?: Record<string, string>;
}

/** More levels of JSON than any client writes; deeper documents are an attack on parsers. */
const MAX_DEPTH = 64;

type Json = Record<string, unknown>;

/**
 * Reads a manifest (image-spec "Image Manifest" and "Image Index", docker schema 2 and 1).
 * `declared` is the media type that the client gave; undefined for stored bytes, whose type follows from the body
 * (v2.md 2.2). Throws MANIFEST_INVALID that names the field.
 */
export function parseManifest(
  bytes: Buffer,
  declared?: string,
  algorithm: DigestAlgorithm = 'sha256',
): Manifest {
  const body = parseBody(bytes);
  const mediaType = mediaTypeOf(body, declared);
  const kind = KINDS[mediaType];
  if (!kind) {
    throw invalid(
      `unsupported manifest media type ${JSON.stringify(mediaType)}; use one of ${Object.keys(KINDS).join(', ')}`,
    );
  }
  if (kind === 'schema1') return schema1(bytes, body, mediaType, algorithm);
  refuseConfusion(body, kind);
  if (kind !== 'artifact' && body.schemaVersion !== 2) throw invalid('schemaVersion must be 2');

  const subject = body.subject === undefined ? undefined : descriptor(body.subject, 'subject');
  const config =
    kind === 'image' && body.config !== undefined ? descriptor(body.config, 'config') : undefined;
  if (kind === 'image' && !config) throw invalid('config is missing');
  const layerField = kind === 'artifact' ? 'blobs' : 'layers';
  const artifactType = text(body.artifactType, 'artifactType');
  const annotations = stringMap(body.annotations, 'annotations');
  return {
    bytes,
    descriptor: { mediaType, digest: digestOf(bytes, algorithm), size: bytes.length },
    kind,
    ...(config && { config }),
    layers: kind === 'index' ? [] : descriptors(body[layerField], layerField, kind === 'image'),
    manifests: kind === 'index' ? descriptors(body.manifests, 'manifests', true) : [],
    ...(subject && { subject }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  };
}

const KINDS: Record<string, ManifestKind> = {
  [DOCKER_MANIFEST]: 'image',
  [DOCKER_MANIFEST_LIST]: 'index',
  [OCI_MANIFEST]: 'image',
  [OCI_INDEX]: 'index',
  [OCI_ARTIFACT]: 'artifact',
  [DOCKER_SCHEMA1]: 'schema1',
  [DOCKER_SCHEMA1_SIGNED]: 'schema1',
};

export const MANIFEST_TYPES: readonly string[] = Object.keys(KINDS);

function parseBody(bytes: Buffer): Json {
  if (!isUtf8(bytes)) throw invalid('not UTF-8');
  refuseDepth(bytes);
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString());
  } catch (cause) {
    throw invalid(`not JSON: ${(cause as Error).message}`, cause);
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalid('a manifest is a JSON object');
  }
  return body as Json;
}

function mediaTypeOf(body: Json, declared: string | undefined): string {
  const own = text(body.mediaType, 'mediaType');
  if (declared && own && own !== declared && !(isSchema1(declared) && isSchema1(own))) {
    throw invalid(
      `mediaType is ${JSON.stringify(own)}, but Content-Type says ${JSON.stringify(declared)}`,
    );
  }
  if (declared) {
    const dockerType = declared === DOCKER_MANIFEST || declared === DOCKER_MANIFEST_LIST;
    if (dockerType && !own) throw invalid(`mediaType is missing; it must be ${declared}`);
    return declared;
  }
  if (body.schemaVersion === 1)
    return 'signatures' in body ? DOCKER_SCHEMA1_SIGNED : DOCKER_SCHEMA1;
  if (own) return own;
  return 'manifests' in body ? OCI_INDEX : OCI_MANIFEST;
}

function isSchema1(mediaType: string): boolean {
  return mediaType === DOCKER_SCHEMA1 || mediaType === DOCKER_SCHEMA1_SIGNED;
}

/** One document must not be an image to one client and an index to another (GHSA-qq97-vm5h-rrhg). */
function refuseConfusion(body: Json, kind: ManifestKind): void {
  const foreign = kind === 'index' ? ['config', 'layers', 'fslayers'] : ['manifests', 'fslayers'];
  for (const field of Object.keys(body)) {
    const folded = field.toLowerCase();
    if (foreign.includes(folded))
      throw invalid(`an ${kind} manifest has no ${JSON.stringify(field)}`);
    // Go reads field names without regard to case, other clients do not: both must see the same document.
    const spelled = SPELLINGS.get(folded);
    if (spelled !== undefined && spelled !== field) {
      throw invalid(`write ${JSON.stringify(field)} as ${JSON.stringify(spelled)}`);
    }
  }
}

const SPELLINGS = new Map(
  [
    'schemaVersion',
    'mediaType',
    'artifactType',
    'config',
    'layers',
    'manifests',
    'blobs',
    'subject',
    'annotations',
  ].map((field) => [field.toLowerCase(), field]),
);

function schema1(
  bytes: Buffer,
  body: Json,
  mediaType: string,
  algorithm: DigestAlgorithm,
): Manifest {
  if (body.schemaVersion !== 1) throw invalid('schemaVersion must be 1');
  if (!Array.isArray(body.fsLayers)) throw invalid('fsLayers must be a list');
  const layers = body.fsLayers.map((entry, index): Descriptor => {
    const blobSum = (entry as Json | null)?.blobSum;
    if (typeof blobSum !== 'string' || !isDigest(blobSum)) {
      throw invalid(`fsLayers[${index}].blobSum is not a digest`);
    }
    return { mediaType: 'application/octet-stream', digest: blobSum, size: -1 };
  });
  return {
    bytes,
    descriptor: { mediaType, digest: digestOf(bytes, algorithm), size: bytes.length },
    kind: 'schema1',
    layers,
    manifests: [],
  };
}

function descriptors(value: unknown, field: string, required: boolean): Descriptor[] {
  if (value === undefined && !required) return [];
  if (value === null && field === 'layers') return [];
  if (!Array.isArray(value)) throw invalid(`${field} must be a list`);
  return value.map((entry, index) => descriptor(entry, `${field}[${index}]`));
}

function descriptor(value: unknown, field: string): Descriptor {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${field} must be a descriptor`);
  }
  const json = value as Json;
  const { digest, size } = json;
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw invalid(`${field}.digest is not a sha256 or sha512 digest`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${field}.size must be a number of bytes`);
  }
  const mediaType = text(json.mediaType, `${field}.mediaType`);
  const artifactType = text(json.artifactType, `${field}.artifactType`);
  const annotations = stringMap(json.annotations, `${field}.annotations`);
  const platform = platformOf(json.platform);
  const urls = json.urls;
  if (urls !== undefined && urls !== null && !isStringList(urls)) {
    throw invalid(`${field}.urls must be a list of strings`);
  }
  return {
    mediaType: mediaType ?? 'application/octet-stream',
    digest,
    size,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
    ...(platform && { platform }),
    ...(urls && { urls }),
  };
}

function platformOf(value: unknown): Platform | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { os, architecture, variant } = value as Json;
  return {
    os: typeof os === 'string' ? os : '',
    architecture: typeof architecture === 'string' ? architecture : '',
    ...(typeof variant === 'string' && { variant }),
  };
}

function text(value: unknown, field: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(`${field} must be a string`);
  return value;
}

function stringMap(value: unknown, field: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || !Object.values(value).every((v) => typeof v === 'string')) {
    throw invalid(`${field} must map strings to strings`);
  }
  return value as Record<string, string>;
}

function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** Counts brackets outside strings, before any parser recurses into them. */
function refuseDepth(bytes: Buffer): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i];
    if (inString) {
      if (byte === 0x5c) i += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > MAX_DEPTH) throw invalid(`nested more than ${MAX_DEPTH} levels deep`);
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
}

function invalid(reason: string, cause?: unknown): RegistryError {
  return storageError('MANIFEST_INVALID', `manifest invalid: ${reason}`, {
    detail: reason,
    ...(cause !== undefined && { cause }),
  });
}
