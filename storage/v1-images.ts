import type { Readable } from 'node:stream';
import type { Digest } from './digest.ts';
import type { ByteRange } from './driver.ts';
import type { V1ImageId } from './names.ts';

/** The body that `GET /v1/images/<id>/layer` sends. */
export interface LayerBody {
  /** Bytes that will be sent; what X-Docker-Size says. */
  size: number;
  /** Whether ranges can be served: not when the layer is decompressed on the way. */
  seekable: boolean;
  /** The blob that lies behind a seekable body, for redirects. */
  blob?: Digest;
  open(range?: ByteRange): Promise<Readable>;
}

/** A V1 image that can be read: pushed over V1 ('explicit') or following from a V2 manifest ('virtual'). */
export interface V1Image {
  id: V1ImageId;
  origin: 'explicit' | 'virtual';
  /** The bytes as pushed, or as docker 1.10-1.13 would have pushed them. */
  json: Buffer;
  /** The image itself first, then its parents down to the base. */
  ancestry: V1ImageId[];
  layer: LayerBody;
  /** `sha256:…` payload sum and `tarsum…` sums that were computed on the way in; empty for virtual images. */
  checksums: string[];
}

/**
 * Whose eyes the store sees through: which repositories the session may pull from, and whose unfinished pushes it
 * may continue (a user name, or what stands for one; '' for anonymous clients).
 */
export interface V1Reader {
  /** There are no accounts: everything may be read. */
  unrestricted: boolean;
  mayPull(repository: string): boolean;
  /** Set when a V1 token names the only repository that counts. */
  only?: string;
  claimant: string;
}
