import type { RepositoryName, V1ImageId } from '../names.ts';

/** What an import of a V1 tree did, or would do. */
export interface TreeImportReport {
  dryRun: boolean;
  /** Of the images that were asked for: those that came in, and those that were stored before. */
  images: { imported: number; present: number };
  /** Layers that came in, by how, and their bytes. In a dry run all are `toImport`. */
  layers: { linked: number; copied: number; bytes: number };
  /** Images without a stored checksum that is understood; they were taken as they are. */
  unverified: number;
  /** Images that can't be used, and why. */
  broken: { id: V1ImageId; reason: string }[];
  /** Images in no usable tag's line that were left out; with `orphans` they come in. */
  orphans: { count: number; bytes: number };
  tags: { imported: number; present: number };
  repositories: Set<RepositoryName>;
  /** Tags, repositories and files that were left out, as they are called in the tree, and why. */
  left: { what: string; reason: string }[];
  /** What was put right on the way, such as an `ancestry` that was made again. */
  notes: { what: string; note: string }[];
}

export function emptyReport(dryRun: boolean): TreeImportReport {
  return {
    dryRun,
    images: { imported: 0, present: 0 },
    layers: { linked: 0, copied: 0, bytes: 0 },
    unverified: 0,
    broken: [],
    orphans: { count: 0, bytes: 0 },
    tags: { imported: 0, present: 0 },
    repositories: new Set(),
    left: [],
    notes: [],
  };
}

/** How far a long transfer is; called often. */
export interface TransferProgress {
  /** Bytes that will be looked at; undefined where nobody knows. */
  total: number | undefined;
  done: number;
}

export type OnProgress = (progress: TransferProgress) => void;
