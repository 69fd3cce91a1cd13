import type { Incoming } from '../answer.ts';
import type { Handler } from '../protocol.ts';
import type { Registry } from '../registry.ts';
import { deleteBlob, pullBlob } from './blobs.ts';
import { pullCatalog } from './catalog.ts';
import { deleteManifest, pullManifest, putManifest } from './manifests.ts';
import { listReferrers } from './referrers.ts';
import type { RepositoryHandler } from './request.ts';
import { pullTags } from './tags.ts';
import {
  cancelUpload,
  finishUpload,
  noUpload,
  startUpload,
  uploadPart,
  uploadStatus,
} from './uploads.ts';

type Methods = Record<string, RepositoryHandler>;

const MANIFESTS: Methods = {
  GET: pullManifest,
  HEAD: pullManifest,
  PUT: putManifest,
  DELETE: deleteManifest,
};
const BLOBS: Methods = { GET: pullBlob, HEAD: pullBlob, DELETE: deleteBlob };
const UPLOADS: Methods = {
  GET: uploadStatus,
  HEAD: uploadStatus,
  PATCH: uploadPart,
  PUT: finishUpload,
  DELETE: cancelUpload,
};
const NEW_UPLOADS: Methods = { GET: noUpload, HEAD: noUpload, POST: startUpload };
const TAGS: Methods = { GET: pullTags, HEAD: pullTags };
const REFERRERS: Methods = { GET: listReferrers, HEAD: listReferrers };

/**
 * The requests of pulls and pushes, and listings, told apart by their last segments: the router tries one pattern after
 * the other.
 */
export function direct(registry: Registry): (method: string, path: string) => Handler | undefined {
  const listed: Handler = (incoming: Incoming) => pullCatalog(incoming, registry);
  return (method, path) => {
    if (!path.startsWith('/v2/') || path.includes('%')) return undefined;
    if (path === '/v2/_catalog') return method === 'GET' || method === 'HEAD' ? listed : undefined;
    const last = path.lastIndexOf('/');
    const before = path.lastIndexOf('/', last - 1);
    if (before <= 3) return undefined;
    const kind = path.slice(before + 1, last);
    const reference = path.slice(last + 1);
    const isUpload = kind === 'uploads' && path.endsWith('/blobs', before);
    const methods = isUpload ? uploadMethods(reference) : methodsOf(kind, reference);
    const handle = methods?.[method];
    if (handle === undefined) return undefined;
    const name = path.slice(4, isUpload ? before - '/blobs'.length : before);
    return (incoming) => handle(incoming, registry, name, reference);
  };
}

function uploadMethods(id: string): Methods {
  return id === '' ? NEW_UPLOADS : UPLOADS;
}

function methodsOf(kind: string, reference: string): Methods | undefined {
  if (kind === 'manifests') return reference === '' ? undefined : MANIFESTS;
  if (kind === 'blobs') return reference.includes(':') ? BLOBS : undefined;
  if (kind === 'referrers') return reference === '' ? undefined : REFERRERS;
  return kind === 'tags' && reference === 'list' ? TAGS : undefined;
}
