import type { Readable } from 'node:stream';
import type { ChainImage, Lifted } from './lifting.ts';
import type { Platform } from './manifest.ts';
import type { RepositoryName, Tag, V1ImageId } from './names.ts';
import type { V1Image, V1Reader } from './v1-images.ts';
import type { ImageJson } from './v1-json.ts';

export interface V1Sums {
  /** X-Docker-Checksum-Payload. */
  payload?: string;
  /** X-Docker-Checksum. */
  tarsum?: string;
}

export interface V1ListEntry {
  id: V1ImageId;
  tag?: Tag;
  checksum?: string;
}

/** The V1 images of the whole store. */
export interface V1Images {
  /** Throws IMAGE_UNKNOWN ('Image not found') or IMAGE_INCOMPLETE ('Image is being uploaded, retry later'). */
  image(id: V1ImageId, reader: V1Reader): Promise<V1Image>;
  /**
   * Begins, or begins again, the push of an image. Throws IMAGE_EXISTS or IMAGE_INVALID with the old messages. `allow`
   * has the last word, and throws when it is no.
   */
  putJson(json: ImageJson, reader: V1Reader, allow?: () => Promise<void>): Promise<void>;
  /**
   * Throws IMAGE_UNKNOWN before its JSON came, IMAGE_EXISTS when it is complete, UPLOAD_BUSY, and what `onBytes` throws,
   * which is told of all bytes that come.
   */
  putLayer(
    id: V1ImageId,
    source: Readable,
    reader: V1Reader,
    onBytes?: (bytes: number) => void,
  ): Promise<void>;
  /** Completes the image if either sum is right; throws IMAGE_INVALID 'Checksum mismatch' if neither is. */
  putChecksum(id: V1ImageId, sums: V1Sums, reader: V1Reader): Promise<void>;
}

/** Who looks at tags. */
export interface V1Viewer {
  /** What the client's User-Agent says of itself. */
  platform?: Platform;
  /** Without one, everything may be read. */
  reader?: V1Reader;
}

/** The image that a tag names over V1, or why what it names is not seen there. */
export type TagView = { id: V1ImageId } | { reason: string; detail: string };

/** One repository as V1 shows it. */
export interface V1Repository {
  readonly name: RepositoryName;
  exists(): Promise<boolean>;
  tags(viewer?: V1Viewer): Promise<Map<Tag, V1ImageId>>;
  tag(tag: Tag, viewer?: V1Viewer): Promise<V1ImageId | undefined>;
  /** As `tag`, with the reason where there is none; undefined for an unknown tag. */
  view(tag: Tag, viewer?: V1Viewer): Promise<TagView | undefined>;
  /** Whether V1 clients wrote a tag that has no V2 form. */
  hasHiddenTags(): Promise<boolean>;
  /** Whether a V1 client moved this tag last. */
  writtenOverV1(tag: Tag): Promise<boolean>;
  /** The V2 forms of a tag that V1 clients wrote, made now if need be; undefined for one that V2 clients wrote. */
  forms(tag: Tag): Promise<Lifted | undefined>;
  /** The chain, base first, of a tag that V1 clients wrote; undefined for one that V2 clients wrote. */
  chainOf(tag: Tag): Promise<ChainImage[] | undefined>;
  /** Throws IMAGE_UNKNOWN while the image or one below it is missing or unfinished. */
  setTag(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void>;
  deleteTag(tag: Tag): Promise<boolean>;
  /** Merges a list into the repository's own: nothing is ever taken out of it. */
  announce(entries: readonly V1ListEntry[]): Promise<void>;
  /** Base first; undefined for an unknown repository. */
  images(viewer?: V1Viewer): Promise<V1ListEntry[] | undefined>;
  /** Removes tags, manifests and lists; images stay. Gives whether there was anything. */
  delete(): Promise<boolean>;
  /** Notes that these images, which the caller has proved to belong here, may be read through this repository. */
  hold(ids: readonly V1ImageId[]): Promise<void>;
  /** Small records of the protocol beside the content: `properties`, `tag-info/<tag>`. */
  readRecord(record: string): Promise<Buffer | undefined>;
  /** Nobody sees the record before `after` has happened, with which it fails. */
  writeRecord(record: string, content: Buffer | string, after?: Promise<unknown>): Promise<void>;
}
