/** The `name/value` words of a User-Agent, such as `docker/1.12.6 go/go1.6.4 os/linux arch/amd64`. */
function wordsOf(userAgent: string): Map<string, string> {
  const words = new Map<string, string>();
  for (const [, name = '', value = ''] of userAgent.matchAll(/([^\s/]+)\/([^\s/]+)/g)) {
    words.set(name, value);
  }
  return words;
}

/** Who pushed a tag, and when, in unix seconds (v1.md 1.7). What the client did not say is left out. */
export function tagInfo(userAgent: string, now: number): Record<string, string | number> {
  const words = wordsOf(userAgent);
  const info: Record<string, string | number> = { last_update: Math.floor(now / 1000) };
  const docker = words.get('docker');
  const go = words.get('go');
  if (docker !== undefined) info.docker_version = docker;
  if (go !== undefined) info.docker_go_version = go;
  for (const key of ['arch', 'kernel', 'os']) {
    const value = words.get(key);
    if (value !== undefined) info[key] = value.toLowerCase();
  }
  return info;
}

/** What docker-registry answered for a tag of which it knew nothing. */
export const UNKNOWN_TAG_INFO = {
  arch: 'amd64',
  docker_go_version: null,
  docker_version: null,
  kernel: null,
  last_update: null,
  os: 'linux',
};
