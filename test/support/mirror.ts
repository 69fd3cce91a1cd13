import type { AccessControl } from '../../protocols/registry.ts';
import type { MirrorConfig } from '../../src/config/protocols.ts';
import { MirrorCounts } from '../../src/mirror/mirror-counts.ts';
import { type OpenMirror, openMirror } from '../../src/mirror/open-mirror.ts';
import { ContentStore } from '../../storage/content-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
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
    /** A store that others use as well. */
    driver?: StorageDriver;
    /** False takes V2 away, so that engines from 1.6 on come over V1. */
    v2?: boolean;
  } = {},
): Promise<RunningMirror> {
  let mirror: OpenMirror | undefined;
  const log = collectingLog();
  const protocols = { protocols: { v1: true, v2: options.v2 !== false } };
  const running = await startRegistry((registry) => {
    if (options.driver) registry.content = new ContentStore(options.driver);
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
  }, protocols);
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
