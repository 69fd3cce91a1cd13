import type { MirrorCounts, MirroredKind } from '../mirror/mirror-counts.ts';
import type { MetricRegistry } from './registry.ts';

const KINDS: readonly MirroredKind[] = ['blob', 'manifest'];

/** Distribution's metrics of its pull-through cache (v2.md 5.6), for the mirror of a V1 registry. */
export function observeMirror(metrics: MetricRegistry, counts: MirrorCounts): void {
  const counter = (name: string, help: string) =>
    metrics.counter(`registry_proxy_${name}`, help, ['type']);
  const requests = counter('requests_total', 'What the mirror was asked for.');
  const hits = counter('hits_total', 'What it was asked for and had.');
  const misses = counter('misses_total', 'What it was asked for and had to fetch.');
  const pulled = counter('pulled_bytes_total', 'Bytes that came from upstream.');
  metrics.onCollect(() => {
    for (const kind of KINDS) {
      requests.with(kind).set(counts.hits[kind] + counts.misses[kind]);
      hits.with(kind).set(counts.hits[kind]);
      misses.with(kind).set(counts.misses[kind]);
      pulled.with(kind).set(counts.pulledBytes[kind]);
    }
  });
}
