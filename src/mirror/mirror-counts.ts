/** What a mirror was asked for, in distribution's words: `blob` is an image or its layer, `manifest` a repository's tags. */
export type MirroredKind = 'blob' | 'manifest';

/** How often a mirror had itself what it was asked for, and what it fetched. */
export class MirrorCounts {
  readonly hits: Record<MirroredKind, number> = { blob: 0, manifest: 0 };
  readonly misses: Record<MirroredKind, number> = { blob: 0, manifest: 0 };
  /** Bytes that upstream sent. */
  readonly pulledBytes: Record<MirroredKind, number> = { blob: 0, manifest: 0 };
}
