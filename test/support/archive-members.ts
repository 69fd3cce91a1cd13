import { tarEntries } from '../../storage/archives/entry-source.ts';
import { type ArchiveImportOptions, importArchive } from '../../storage/archives/import-archive.ts';
import type { ContentStore } from '../../storage/content-store.ts';
import { parseRepositoryName } from '../../storage/names.ts';
import { inPieces, type TarMember, tarBytes } from './archive-tar.ts';
import { makeV2Image, type V2Image } from './images.ts';
import { everything } from './stores.ts';
import { sha256 } from './tar-layer.ts';

/** What an archive may unpack to. */
export const LIMITS = { maxBytes: 2 ** 30, maxRatio: 1100 };
/** The image of the archives that docker saves. */
export const image = makeV2Image({ seed: 61, layers: 3 });
export const configHex = sha256(image.config).slice(7);

/** As docker 1.10 to 24 saves it; `names` are its RepoTags. */
export function dockerMembers(
  names: string[] | null = ['team/app:v1'],
  form: 'tar' | 'bytes' = 'tar',
): TarMember[] {
  const layers = image.layers.map((layer, n): TarMember => [`${n}/layer.tar`, layer[form]]);
  const Layers = layers.map(([name]) => name);
  return [
    ...layers,
    [`${configHex}.json`, image.config],
    ['manifest.json', [{ Config: `${configHex}.json`, RepoTags: names, Layers }]],
  ];
}

/** The archive without one of its members. */
export function without(members: TarMember[], name: string): TarMember[] {
  return members.filter(([each]) => each !== name);
}

/** The archive with another content of one member. */
export function put(members: TarMember[], name: string, content: TarMember[1]): TarMember[] {
  return members.map((each): TarMember => (each[0] === name ? [name, content] : each));
}

/** An OCI layout of these images, with these entries in its index. */
export function layoutMembers(of: V2Image[], manifests: object[]): TarMember[] {
  const members = new Map<string, Buffer>();
  for (const { manifest, blobs } of of) {
    members.set(blobName(sha256(manifest)), manifest);
    for (const [digest, bytes] of blobs) members.set(blobName(digest), bytes);
  }
  return [
    ['oci-layout', { imageLayoutVersion: '1.0.0' }],
    ['index.json', { schemaVersion: 2, manifests }],
    ...members,
  ];
}

export const blobName = (digest: string) => `blobs/${digest.replace(':', '/')}`;

/** An image as an entry of a layout's index. */
export function described(of: V2Image, name?: string): object {
  return {
    mediaType: of.mediaType,
    digest: of.digest,
    size: of.manifest.length,
    ...(name !== undefined && { annotations: { 'org.opencontainers.image.ref.name': name } }),
  };
}

/** Imports an archive of these members. */
export async function importMembers(
  store: ContentStore,
  members: readonly TarMember[],
  options: Partial<ArchiveImportOptions> = {},
) {
  const entries = tarEntries(inPieces(await tarBytes(members)), LIMITS);
  return importArchive(store, entries, { reader: everything, ...options });
}

export function repositoryOf(store: ContentStore, name: string) {
  return store.repository(parseRepositoryName(name));
}
