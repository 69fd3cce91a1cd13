import type { ContentStore } from '../content-store.ts';
import { storageError } from '../errors.ts';
import type { RepositoryName, Tag } from '../names.ts';
import type { V1Reader } from '../v1-images.ts';
import { chooseTargets, type StoredImage } from './candidate.ts';
import { dockerImages } from './docker-archive.ts';
import type { ArchiveEntry } from './entry-source.ts';
import { layoutImages } from './oci-layout.ts';
import { v1ImagesOf } from './old-archive.ts';
import { Spool } from './spool.ts';

export interface ArchiveImportOptions {
  /** The name for the archive's image, instead of its own. */
  repository?: RepositoryName;
  tag?: Tag;
  /** As whom V1 images are brought and tagged. */
  reader: V1Reader;
  /** Hears the bytes of the entries, uncompressed. */
  onBytes?(bytes: number): void;
}

/** An image of the archive and where it now is. */
export interface ImportedImage extends StoredImage {
  repository: RepositoryName;
  tags: Tag[];
}

/**
 * Stores the images of an archive: an OCI layout, what docker 1.10 and later saves, or what docker up to 1.9 saved.
 * Where one archive is several of these, the form that keeps most of an image counts: manifests before configs before
 * V1 images. Everything is checked before it is tagged; IMAGE_INVALID says what is wrong.
 */
export async function importArchive(
  store: ContentStore,
  entries: AsyncIterable<ArchiveEntry>,
  options: ArchiveImportOptions,
): Promise<ImportedImage[]> {
  const spool = await Spool.open(store);
  try {
    for await (const entry of entries) await spool.add(entry, options.onBytes ?? (() => undefined));
    const candidates =
      (await layoutImages(store, spool)) ??
      (await dockerImages(store, spool)) ??
      (await v1ImagesOf(store, spool, options.reader));
    if (!candidates) throw unknownForm();
    const imported: ImportedImage[] = [];
    for (const { candidate, repository, tags } of chooseTargets(candidates, options)) {
      const stored = await candidate.store(store.repository(repository), tags);
      imported.push({ repository, tags, ...stored });
    }
    return imported;
  } finally {
    await spool.close();
  }
}

function unknownForm() {
  return storageError(
    'IMAGE_INVALID',
    'this is no archive of images: it has neither index.json and oci-layout, nor manifest.json, nor repositories',
  );
}
