import {
  always,
  goBool,
  goInt64,
  goPointer,
  goSet,
  goString,
  goStringMap,
  goStrings,
  goStrSlice,
  goStruct,
  goTime,
  unlessEmpty,
} from './go-types.ts';
import { parseJson } from './json-scanner.ts';

interface HealthConfig {
  test: readonly string[] | null;
  /** Nanoseconds. */
  interval: bigint;
  timeout: bigint;
  retries: bigint;
}

/** docker's container.Config as of 1.13; null is a list or map that was not given. */
interface ContainerConfig {
  hostname: string;
  domainname: string;
  user: string;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  exposedPorts: ReadonlyMap<string, true> | null;
  tty: boolean;
  openStdin: boolean;
  stdinOnce: boolean;
  env: readonly string[] | null;
  cmd: readonly string[] | null;
  healthcheck: HealthConfig | undefined;
  argsEscaped: boolean;
  image: string;
  volumes: ReadonlyMap<string, true> | null;
  workingDir: string;
  entrypoint: readonly string[] | null;
  networkDisabled: boolean;
  macAddress: string;
  onBuild: readonly string[] | null;
  labels: ReadonlyMap<string, string> | null;
  stopSignal: string;
  stopTimeout: bigint | undefined;
  shell: readonly string[] | null;
}

/** The JSON of a V1 image as docker 1.13's typed V1Image holds it (bridge.md 9.2). */
export interface V1Image {
  id: string;
  parent: string;
  comment: string;
  /** As Go writes it; the zero time when missing. */
  created: string;
  container: string;
  containerConfig: ContainerConfig;
  dockerVersion: string;
  author: string;
  config: ContainerConfig | undefined;
  architecture: string;
  os: string;
  size: bigint;
}

const healthConfig = goStruct<HealthConfig>({
  test: unlessEmpty('Test', goStrings),
  interval: unlessEmpty('Interval', goInt64),
  timeout: unlessEmpty('Timeout', goInt64),
  retries: unlessEmpty('Retries', goInt64),
});

const containerConfig = goStruct<ContainerConfig>({
  hostname: always('Hostname', goString),
  domainname: always('Domainname', goString),
  user: always('User', goString),
  attachStdin: always('AttachStdin', goBool),
  attachStdout: always('AttachStdout', goBool),
  attachStderr: always('AttachStderr', goBool),
  exposedPorts: unlessEmpty('ExposedPorts', goSet),
  tty: always('Tty', goBool),
  openStdin: always('OpenStdin', goBool),
  stdinOnce: always('StdinOnce', goBool),
  env: always('Env', goStrings),
  cmd: always('Cmd', goStrSlice),
  healthcheck: unlessEmpty('Healthcheck', goPointer(healthConfig)),
  argsEscaped: unlessEmpty('ArgsEscaped', goBool),
  image: always('Image', goString),
  volumes: always('Volumes', goSet),
  workingDir: always('WorkingDir', goString),
  entrypoint: always('Entrypoint', goStrSlice),
  networkDisabled: unlessEmpty('NetworkDisabled', goBool),
  macAddress: unlessEmpty('MacAddress', goString),
  onBuild: always('OnBuild', goStrings),
  labels: always('Labels', goStringMap),
  stopSignal: unlessEmpty('StopSignal', goString),
  stopTimeout: unlessEmpty('StopTimeout', goPointer(goInt64)),
  shell: unlessEmpty('Shell', goStrSlice),
});

const v1Image = goStruct<V1Image>({
  id: unlessEmpty('id', goString),
  parent: unlessEmpty('parent', goString),
  comment: unlessEmpty('comment', goString),
  created: always('created', goTime),
  container: unlessEmpty('container', goString),
  containerConfig: always('container_config', containerConfig),
  dockerVersion: unlessEmpty('docker_version', goString),
  author: unlessEmpty('author', goString),
  config: unlessEmpty('config', goPointer(containerConfig)),
  architecture: unlessEmpty('architecture', goString),
  os: unlessEmpty('os', goString),
  size: unlessEmpty('Size', goInt64),
});

/** An image of which nothing is known. */
export const EMPTY_V1_IMAGE: V1Image = v1Image.zero;

/** The typed decode; throws JsonError for what docker's types cannot hold. */
export function decodeV1Image(json: Buffer): V1Image {
  return v1Image.decode(parseJson(json), v1Image.zero);
}

export function encodeV1Image(image: V1Image): Buffer {
  return Buffer.from(v1Image.encode(image));
}
