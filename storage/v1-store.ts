import type { Readable } from 'node:stream';
import type { ChainImage } from './lifting.ts';
import type { Platform } from './manifest.ts';
import type { RepositoryName, Tag, V1ImageId } from './names.ts';
import type { V1Image, V1Reader } from './v1-images.ts';

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
  /** Begins, or begins again, the push of an image. Throws IMAGE_EXISTS or IMAGE_INVALID with the old messages. */
  putJson(id: V1ImageId, json: Buffer, reader: V1Reader): Promise<void>;
  /** Throws IMAGE_UNKNOWN before its JSON came, IMAGE_EXISTS when it is complete, UPLOAD_BUSY. */
  putLayer(id: V1ImageId, source: Readable, reader: V1Reader): Promise<void>;
  /** Completes the image if either sum is right; throws IMAGE_INVALID 'Checksum mismatch' if neither is. */
  putChecksum(id: V1ImageId, sums: V1Sums, reader: V1Reader): Promise<void>;
}

/** One repository as V1 shows it. `platform` is what the client's User-Agent says of itself. */
export interface V1Repository {
  readonly name: RepositoryName;
  exists(): Promise<boolean>;
  tags(platform?: Platform): Promise<Map<Tag, V1ImageId>>;
  tag(tag: Tag, platform?: Platform): Promise<V1ImageId | undefined>;
  /** The chain, base first, of a tag that V1 clients wrote; undefined for one that V2 clients wrote. */
  chainOf(tag: Tag): Promise<ChainImage[] | undefined>;
  /** Throws IMAGE_UNKNOWN while the image or one below it is missing or unfinished. */
  setTag(tag: Tag, id: V1ImageId, reader: V1Reader): Promise<void>;
  deleteTag(tag: Tag): Promise<boolean>;
  /** Merges a list into the repository's own: nothing is ever taken out of it. */
  announce(entries: readonly V1ListEntry[]): Promise<void>;
  /** Base first; undefined for an unknown repository. */
  images(platform?: Platform): Promise<V1ListEntry[] | undefined>;
  /** Removes tags, manifests and lists; images stay. Gives whether there was anything. */
  delete(): Promise<boolean>;
  /** Small records of the protocol beside the content: `properties`, `tag-info/<tag>`. */
  readRecord(record: string): Promise<Buffer | undefined>;
  writeRecord(record: string, content: Buffer | string): Promise<void>;
}
