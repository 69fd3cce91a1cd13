/** The engines whose request sequences the V1 client performs (v1.md 2.1, v1-clients.md). */
export type EngineVersion = '0.7.6' | '1.5.0' | '1.6.2' | '1.9.1' | '1.10.3' | '1.13.1';

/** In what an engine's V1 differs from the others'. */
export interface Engine {
  version: EngineVersion;
  userAgent: string;
  /** `/v2/` and `/v1/_ping` of engines up to 1.5 carry Go's own agent. */
  pingAgent: string;
  /** Asks `/v2/` before anything else. */
  asksV2: boolean;
  /** `/v1/_ping` also over plain http. */
  pings: boolean;
  /** `_ping` must carry X-Docker-Registry-Version; `json` must carry X-Docker-Size; GET needs X-Docker-Endpoints. */
  ancient: boolean;
  /** Tries V2 even though `/v2/` did not look like V2; a V1 push or pull follows its failure. */
  triesV2Anyway: boolean;
  /** The first PUT must be answered with X-Docker-Token. */
  needsToken: boolean;
  /** `Basic Og==` on index PUTs when nobody is logged in; a bare `Token ` when no token is known. */
  emptyCredentials: boolean;
  /** Sends X-Docker-Checksum-Payload beside the tarsum. */
  payloadChecksum: boolean;
  /** Writes the tag after every image, so that it walks upwards; the last list carries checksums. */
  tagsEveryImage: boolean;
  /** Reads one tag; older engines read the whole list. */
  readsOneTag: boolean;
  /** Reads every JSON first, then up to three layers at once. */
  parallelLayers: boolean;
  /** Registers with POST, under this agent, before it logs in with GET; undefined: only GET. */
  registerAgent: string | undefined;
  /** Asks for `n=25` results. */
  searchesWithCount: boolean;
}

const GO_AGENT = 'Go 1.1 package http';

function agent(version: string, go: string, hash: string): string {
  return `docker/${version} go/${go} git-commit/${hash} kernel/3.16.0 os/linux arch/amd64`;
}

function client(version: string): string {
  return ` UpstreamClient(Docker-Client/${version} \\(linux\\))`;
}

const V1_5: Engine = {
  version: '1.5.0',
  userAgent: agent('1.5.0', 'go1.4.1', 'a8a31ef'),
  pingAgent: GO_AGENT,
  asksV2: true,
  pings: true,
  ancient: false,
  triesV2Anyway: false,
  needsToken: true,
  emptyCredentials: true,
  payloadChecksum: true,
  tagsEveryImage: false,
  readsOneTag: false,
  parallelLayers: false,
  registerAgent: GO_AGENT,
  searchesWithCount: false,
};

const V0_7: Engine = {
  ...V1_5,
  version: '0.7.6',
  userAgent: agent('0.7.6', 'go1.2', 'bc3b2ec'),
  pingAgent: agent('0.7.6', 'go1.2', 'bc3b2ec'),
  asksV2: false,
  ancient: true,
  payloadChecksum: false,
  tagsEveryImage: true,
};

const V1_6: Engine = {
  ...V1_5,
  version: '1.6.2',
  userAgent: agent('1.6.2', 'go1.4.2', '7c8fca2'),
  pingAgent: agent('1.6.2', 'go1.4.2', '7c8fca2'),
};

const V1_9: Engine = {
  ...V1_6,
  version: '1.9.1',
  userAgent: agent('1.9.1', 'go1.4.3', 'a34a1d5'),
  pingAgent: agent('1.9.1', 'go1.4.3', 'a34a1d5'),
  registerAgent: agent('1.9.1', 'go1.4.3', 'a34a1d5'),
  pings: false,
  needsToken: false,
  emptyCredentials: false,
  readsOneTag: true,
};

const V1_10: Engine = {
  ...V1_9,
  version: '1.10.3',
  userAgent: agent('1.10.3', 'go1.5.3', '20f81dd'),
  pingAgent: agent('1.10.3', 'go1.5.3', '20f81dd'),
  registerAgent: agent('1.10.3', 'go1.5.3', '20f81dd'),
  triesV2Anyway: true,
  parallelLayers: true,
};

const V1_13: Engine = {
  ...V1_10,
  version: '1.13.1',
  userAgent: agent('1.13.1', 'go1.7.5', '092cba3') + client('1.13.1'),
  pingAgent: agent('1.13.1', 'go1.7.5', '092cba3') + client('1.13.1'),
  registerAgent: undefined,
  searchesWithCount: true,
};

const ENGINES: Record<EngineVersion, Engine> = {
  '0.7.6': V0_7,
  '1.5.0': V1_5,
  '1.6.2': V1_6,
  '1.9.1': V1_9,
  '1.10.3': V1_10,
  '1.13.1': V1_13,
};

export const ENGINE_VERSIONS = Object.keys(ENGINES) as EngineVersion[];

export function engineOf(version: EngineVersion): Engine {
  return ENGINES[version];
}
