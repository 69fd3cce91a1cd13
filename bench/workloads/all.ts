import { LISTINGS } from './listings.ts';
import { PUSHES } from './pushes.ts';
import { READS } from './reads.ts';
import { V1 } from './v1.ts';
import type { Workload } from './workload.ts';

/** Every workload in the order in which they run: what needs much memory comes last. */
export const WORKLOADS: readonly Workload[] = [
  ...[...READS, ...PUSHES, ...LISTINGS].sort((a, b) => (a.id < b.id ? -1 : 1)),
  ...V1,
];
