import { algorithmOf, type Digest, hexOf } from './digest.ts';
import type { RepositoryName, Tag, UploadId, V1ImageId } from './names.ts';

/*
 * The layout on disk, and every path in it. The V2 part is distribution's, byte for byte (v2.md 3).
 *
 *   docker/registry/v2/
 *     blobs/<alg>/<hh>/<hex>/data                                    bytes of blobs and manifests
 *     repositories/<name>/
 *       _layers/<alg>/<hex>/link                                     blob is visible in this repository
 *       _manifests/revisions/<alg>/<hex>/link                        manifest is visible in this repository
 *       _manifests/tags/<tag>/current/link                           the digest that the tag names
 *       _manifests/tags/<tag>/index/<alg>/<hex>/link                 every digest it ever named
 *       _uploads/<id>/{data,startedat}                               bytes so far, RFC 3339
 *       _uploads/<id>/{progress,lock,copy}                           ours: digest of the bytes so far; who writes now; data taken from a silent writer
 *       _v1/members                                                  V1 images that are readable through it, proved
 *       _v1/tags/<tag>                                               memo { imageId, manifest? }
 *       _v1/list                                                     V1 image list, as index clients sent it
 *       _v1/schema1/<hex>                                            { tag, source } of a schema 1 form made for a tag
 *       _v1/records/<name>                                           properties, who pushed a tag
 *   docker/registry/v1/
 *     staging/<id>-<claimant>/{json,data,received,lock}              a push in progress, apart for each user
 *     staging/<id>.import                                            who brings the image in
 *     images/<id>                                                    complete: a line { blob, size, …, ancestry, checksums },
 *                                                                    then its JSON as sent
 *     claims/<hh>/<id>/<claimant>                                    users who proved that they have this very image
 *     holders/<hh>/<id>/<name with ~ for />                          repositories that hold the pushed image
 *     readers/<hh>/<id>/<name with ~ for />                          manifests there that give the virtual image
 *     readers/<hh>/<id>/.kept                                        the virtual image itself, once others were pushed on top of it
 *     facts/<alg>/<hh>/<hex>                                         encoding and diff ID of a blob
 *     blobs/<alg>/<hh>/<hex>/compressed                              the blob that V2 lists in place of this plain tar
 *     blobs/<alg>/<hh>/<hex>/{tar-*,lock}                            its plain tar while it is made; who makes it
 *     chains/<hh>/<hex>                                              the layer that a proved image has at this chain ID
 *     diffs/<hh>/<hex>/<alg>-<hex>                                   blobs that unpack to this diff ID
 *     manifests/<alg>/<hh>/<hex>/{origin,forms,chain,schema1}        what the bridge made of a manifest, or made it of
 *   docker/registry/isthmus/                                         ours, for the whole store: keys, generations, events
 *     mirror/<hh>/<id>                                               repositories through which upstream gives an image
 *     mirror/incoming/<id>, <id>.lock                                a layer on its way from upstream; who fetches it
 *     mirror/repositories/<name with ~ for />                        tags and image list that upstream last told
 *     imported-v1-trees                                              docker-registry trees that were brought in
 *     acme/<host>                                                    key and chain fetched by ACME, PEM
 *     acme/{account-key,lease,tls-alpn-01/<host>,failures/<host>}    account at the CA; who talks to it; open challenges; retries
 *     spool/<id>/<n>                                                 entries of an archive while it is imported
 */
const V2 = '/docker/registry/v2';
const V1 = '/docker/registry/v1';

export const repositoriesRoot = `${V2}/repositories`;
export const blobsRoot = `${V2}/blobs`;
export const v1ImagesRoot = `${V1}/images`;
/** Ours, for the whole store. */
export const storeRecord = (name: string): string => `/docker/registry/isthmus/${name}`;
/** Repositories through which a mirror's upstream gives an image. */
export const mirrorClaims = (id: V1ImageId): string =>
  storeRecord(`mirror/${id.slice(0, 2)}/${id}`);
/** A layer on its way from upstream, and who fetches it. */
export const mirrorIncomingRoot = storeRecord('mirror/incoming');
export const mirrorIncoming = (id: V1ImageId): string => `${mirrorIncomingRoot}/${id}`;
export const mirrorIncomingLock = (id: V1ImageId): string => `${mirrorIncoming(id)}.lock`;
/** What upstream last said of a repository. */
export const mirrorRepository = (name: RepositoryName): string =>
  storeRecord(`mirror/repositories/${name.replaceAll('/', '~')}`);
export const importedTreesRecord = storeRecord('imported-v1-trees');
/** Entries of archives that are being imported, each archive apart. */
export const spoolsRoot = storeRecord('spool');

const linkIn = (digest: Digest): string => `${algorithmOf(digest)}/${hexOf(digest)}/link`;
const shard = (hex: string): string => `${hex.slice(0, 2)}/${hex}`;

export const blobDirectory = (digest: Digest): string =>
  `${blobsRoot}/${algorithmOf(digest)}/${shard(hexOf(digest))}`;
export const blobData = (digest: Digest): string => `${blobDirectory(digest)}/data`;

export const repositoryRoot = (name: RepositoryName): string => `${repositoriesRoot}/${name}`;
export const layersRoot = (name: RepositoryName): string => `${repositoryRoot(name)}/_layers`;
export const layerLink = (name: RepositoryName, digest: Digest): string =>
  `${repositoriesRoot}/${name}/_layers/${linkIn(digest)}`;

export const manifestsRoot = (name: RepositoryName): string => `${repositoryRoot(name)}/_manifests`;
export const revisionsRoot = (name: RepositoryName): string => `${manifestsRoot(name)}/revisions`;
export const revisionLink = (name: RepositoryName, digest: Digest): string =>
  `${repositoriesRoot}/${name}/_manifests/revisions/${linkIn(digest)}`;
/** JWS signatures that distribution up to 2.4 kept beside schema 1 revisions. */
export const signaturesRoot = (name: RepositoryName, digest: Digest): string =>
  `${revisionsRoot(name)}/${algorithmOf(digest)}/${hexOf(digest)}/signatures`;

export const tagsRoot = (name: RepositoryName): string => `${manifestsRoot(name)}/tags`;
export const tagDirectory = (name: RepositoryName, tag: Tag): string => `${tagsRoot(name)}/${tag}`;
export const tagLink = (name: RepositoryName, tag: Tag): string =>
  `${repositoriesRoot}/${name}/_manifests/tags/${tag}/current/link`;
export const tagHistoryRoot = (name: RepositoryName, tag: Tag): string =>
  `${tagDirectory(name, tag)}/index`;
export const tagHistoryLink = (name: RepositoryName, tag: Tag, digest: Digest): string =>
  `${tagHistoryRoot(name, tag)}/${linkIn(digest)}`;

export const uploadsRoot = (name: RepositoryName): string => `${repositoryRoot(name)}/_uploads`;
export const uploadDirectory = (name: RepositoryName, id: UploadId): string =>
  `${uploadsRoot(name)}/${id}`;
export const uploadFile = (
  name: RepositoryName,
  id: UploadId,
  file: 'data' | 'startedat' | 'progress' | 'lock' | 'copy',
): string => `${uploadDirectory(name, id)}/${file}`;

export const v1RepositoryRoot = (name: RepositoryName): string => `${repositoryRoot(name)}/_v1`;
export const v1Members = (name: RepositoryName): string => `${v1RepositoryRoot(name)}/members`;
export const v1List = (name: RepositoryName): string => `${v1RepositoryRoot(name)}/list`;
export const v1TagsRoot = (name: RepositoryName): string => `${v1RepositoryRoot(name)}/tags`;
export const v1TagMemo = (name: RepositoryName, tag: Tag): string => `${v1TagsRoot(name)}/${tag}`;
export const v1Schema1 = (name: RepositoryName, digest: Digest): string =>
  `${v1RepositoryRoot(name)}/schema1/${hexOf(digest)}`;
export const v1RepositoryRecord = (name: RepositoryName, record: string): string =>
  `${v1RepositoryRoot(name)}/records/${record}`;

/** Its presence says that the pushed image is complete. */
export const v1ImageRecord = (id: V1ImageId): string => `${v1ImagesRoot}/${id}`;
export const v1StagingRoot = `${V1}/staging`;
/** Held while the image is brought in from an archive, a tree or upstream. */
export const v1ImportLock = (id: V1ImageId): string => `${v1StagingRoot}/${id}.import`;
/** `claimant` is part of a path segment: letters and digits only. */
export const v1StagingDirectory = (id: V1ImageId, claimant: string): string =>
  `${v1StagingRoot}/${id}-${claimant}`;
/** The image and the claimant of a staging directory, by its name. */
export const v1Staged = (name: string): { id: string; claimant: string } => ({
  id: name.slice(0, 64),
  claimant: name.slice(65),
});
export const v1StagingFile = (
  id: V1ImageId,
  claimant: string,
  file: 'json' | 'data' | 'received' | 'lock',
): string => `${v1StagingDirectory(id, claimant)}/${file}`;
export const v1ClaimsRoot = (id: V1ImageId): string => `${V1}/claims/${shard(id)}`;
export const v1Claim = (id: V1ImageId, claimant: string): string =>
  `${v1ClaimsRoot(id)}/${claimant}`;
export const v1HoldersRoot = (id: V1ImageId): string => `${V1}/holders/${shard(id)}`;
export const v1Holder = (id: V1ImageId, name: RepositoryName): string =>
  `${v1HoldersRoot(id)}/${name.replaceAll('/', '~')}`;
/** Of all virtual images. */
export const v1AllReadersRoot = `${V1}/readers`;
export const v1ReadersRoot = (id: V1ImageId): string => `${v1AllReadersRoot}/${shard(id)}`;
/** Beside the readers, whose listing says that it is there. No repository has such a name. */
export const V1_KEPT = '.kept';
export const v1Kept = (id: V1ImageId): string => `${v1ReadersRoot(id)}/${V1_KEPT}`;
export const v1Reader = (id: V1ImageId, name: RepositoryName): string =>
  `${v1ReadersRoot(id)}/${name.replaceAll('/', '~')}`;

const v1BlobDirectory = (digest: Digest): string =>
  `${V1}/blobs/${algorithmOf(digest)}/${shard(hexOf(digest))}`;
export const blobFacts = (digest: Digest): string =>
  `${V1}/facts/${algorithmOf(digest)}/${shard(hexOf(digest))}`;
/** Held while the blob is read, or its plain tar made. */
export const blobLock = (digest: Digest): string => `${v1BlobDirectory(digest)}/lock`;
/** The blob that stands for a plain tar over V2, once it was compressed. */
export const blobCompressed = (digest: Digest): string => `${v1BlobDirectory(digest)}/compressed`;
export const blobTar = (digest: Digest): string => `${v1BlobDirectory(digest)}/tar`;
export const diffRoot = (diffId: Digest): string => `${V1}/diffs/${shard(hexOf(diffId))}`;
export const diffBlob = (diffId: Digest, blob: Digest): string =>
  `${diffRoot(diffId)}/${algorithmOf(blob)}-${hexOf(blob)}`;

export const chainRecord = (chainId: Digest): string => `${V1}/chains/${shard(hexOf(chainId))}`;

export const bridgeRecord = (
  manifest: Digest,
  record: 'origin' | 'forms' | 'chain' | 'schema1',
): string => `${V1}/manifests/${algorithmOf(manifest)}/${shard(hexOf(manifest))}/${record}`;
