import type { Digest } from './digest.ts';

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

/** OCI image-spec, image index, `platform`. */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}
