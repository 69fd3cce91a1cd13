import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChildServer, spawnServer } from '../../support/child-server.ts';
import { freePort } from '../../support/free-port.ts';
import { tool } from './command.ts';

/** Debian's docker-registry 2.8, and distribution 3.1.1 from the Go module proxy. */
export type DistributionVersion = '2.8' | '3.1';

const PROGRAMS: Record<DistributionVersion, string> = {
  '2.8': 'docker-registry',
  '3.1': 'registry-3',
};

/** Starts distribution over `root` (its `rootdirectory`) on a free port. The caller stops it. */
export async function startDistribution(
  version: DistributionVersion,
  root: string,
): Promise<ChildServer> {
  await mkdir(root, { recursive: true });
  const storage = `filesystem: { rootdirectory: "${root}" }`;
  return startDistributionOn(version, storage, join(root, '..'));
}

/** As `startDistribution`, with a driver as its configuration names it; `folder` is where that is written. */
export async function startDistributionOn(
  version: DistributionVersion,
  storage: string,
  folder: string,
): Promise<ChildServer> {
  const port = await freePort();
  const config = join(folder, `distribution-${port}.yml`);
  await writeFile(
    config,
    `version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage:
  ${storage}
  delete: { enabled: true }
  maintenance: { uploadpurging: { enabled: false } }
http: { addr: "127.0.0.1:${port}", secret: e2e }
`,
  );
  return spawnServer(tool(PROGRAMS[version]), ['serve', config], port, {
    OTEL_TRACES_EXPORTER: 'none',
  });
}
