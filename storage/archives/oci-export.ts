import type { ContentStore } from '../content-store.ts';
import { algorithmOf, type Digest, hexOf } from '../digest.ts';
import { storageError } from '../errors.ts';
import type { Manifest } from '../manifest.ts';
import { OCI_INDEX } from '../media-types.ts';
import type { Repository } from '../repository.ts';
import { canonicalName } from './image-reference.ts';
import type { PlannedFile } from './tar-writer.ts';

/** An image, index or artifact to export, with its tags; it stands in the layout without a name when it has none. */
export interface ExportedManifest {
  repository: Repository;
  manifest: Manifest;
  tags: string[];
}

/**
 * The files of an OCI layout (image-spec "Image Layout"): manifests and blobs as they are stored, indexes with all
 * children that are here. Throws MANIFEST_BLOB_UNKNOWN when a blob is missing that lies nowhere else.
 */
export async function layoutFiles(
  store: ContentStore,
  exported: readonly ExportedManifest[],
): Promise<PlannedFile[]> {
  const blobs = new Map<Digest, PlannedFile>();
  const manifests: object[] = [];
  for (const { repository, manifest, tags } of exported) {
    await addManifest(store, repository, manifest, blobs);
    const { mediaType, digest, size } = manifest.descriptor;
    const plain = { mediaType, digest, size };
    for (const tag of tags) {
      const annotations = {
        'io.containerd.image.name': canonicalName(repository.name, tag),
        'org.opencontainers.image.ref.name': tag,
      };
      manifests.push({ ...plain, annotations });
    }
    if (tags.length === 0) manifests.push(plain);
  }
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
  return [
    ofBytes('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')),
    ofBytes('index.json', Buffer.from(JSON.stringify(index))),
    ...blobs.values(),
  ];
}

async function addManifest(
  store: ContentStore,
  repository: Repository,
  manifest: Manifest,
  blobs: Map<Digest, PlannedFile>,
): Promise<void> {
  const { digest } = manifest.descriptor;
  if (blobs.has(digest)) return;
  blobs.set(digest, ofBytes(nameOf(digest), manifest.bytes));
  const { config, layers } = manifest;
  for (const blob of config ? [config, ...layers] : layers) {
    if (blobs.has(blob.digest)) continue;
    const found = await repository.blobs.find(blob.digest);
    if (found) {
      const { canonical, size } = found;
      const open = () => store.blobs.read(canonical);
      blobs.set(blob.digest, { name: nameOf(blob.digest), size, open });
    } else if (!blob.urls?.length) {
      throw storageError(
        'MANIFEST_BLOB_UNKNOWN',
        `blob unknown to this repository: ${blob.digest}`,
      );
    }
  }
  for (const child of manifest.manifests) {
    const found = await repository.manifests.get(child.digest);
    if (found) await addManifest(store, repository, found, blobs);
  }
}

function nameOf(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

function ofBytes(name: string, bytes: Buffer): PlannedFile {
  return { name, size: bytes.length, open: () => bytes };
}
