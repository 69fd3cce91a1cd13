import { type Digest, digestOf } from '../digest.ts';

/** A tar without entries: what docker's empty layers hold (bridge.md 2.4). */
export const EMPTY_TAR: Buffer = Buffer.alloc(1024);
export const EMPTY_TAR_DIFF_ID =
  'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef' as Digest;

/** The empty tar as every docker gzips it; literal, so that its digest hangs on no zlib version. */
export const EMPTY_TAR_GZIP: Buffer = Buffer.from(
  '1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000',
  'hex',
);
export const EMPTY_TAR_GZIP_DIGEST =
  'sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4' as Digest;

/** The chain IDs of a list of diff IDs, base first: one for each prefix of the list (2.2). */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const ids: Digest[] = [];
  for (const diffId of diffIds) ids.push(nextChainId(ids.at(-1), diffId));
  return ids;
}

/** The chain ID of a layer on top of the chain `parent`; a lone layer's is its diff ID. */
export function nextChainId(parent: Digest | undefined, diffId: Digest): Digest {
  return parent === undefined ? diffId : digestOf(`${parent} ${diffId}`);
}
