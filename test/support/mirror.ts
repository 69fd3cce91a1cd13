import type { AccessControl } from '../../protocols/registry.ts';
import type { MirrorConfig } from '../../src/config/protocols.ts';
import { MirrorCounts } from '../../src/mirror/mirror-counts.ts';
import { type OpenMirror, openMirror } from '../../src/mirror/open-mirror.ts';
import type { SharedCache } from '../../storage/shared-cache.ts';
import { collectingLog, type LogLine } from './collecting-log.ts';
import { type RunningRegistry, startRegistry } from './v1-registry.ts';

export interface RunningMirror extends RunningRegistry {
  /** What the mirror logged. */
  lines: LogLine[];
  counts: MirrorCounts;
}

/** A registry that mirrors another, with short time limits. */
export async function startMirror(
  source: string,
  options: {
    config?: Partial<MirrorConfig>;
    access?: AccessControl;
    shared?: SharedCache;
  } = {},
): Promise<RunningMirror> {
  let mirror: OpenMirror | undefined;
  const log = collectingLog();
  const running = await startRegistry((registry) => {
    const config: MirrorConfig = {
      source,
      sourceIndex: source,
      username: undefined,
      password: undefined,
      tagsCacheSeconds: 3600,
      ...options.config,
    };
    mirror = openMirror(config, registry.content, log, {
      shared: options.shared,
      limits: { headMs: 500, idleMs: 500, restMs: 200 },
    });
    registry.v1.mirror = mirror;
    if (options.access) registry.access = options.access;
  });
  return {
    ...running,
    lines: log.lines,
    counts: mirror?.counts ?? new MirrorCounts(),
    close: async () => {
      await running.close();
      await mirror?.close();
    },
  };
}
