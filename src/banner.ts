import { resolve } from 'node:path';
import type { Config } from './config/config.ts';
import type { ListenAddress } from './config/scalars.ts';
import { showAddress } from './listen.ts';
import type { ProcessLogger } from './log.ts';
import { version } from './version.ts';

/** Says that the registry serves, and where: a page on a terminal, one line of JSON elsewhere. */
export function announce(config: Config, address: ListenAddress, log: ProcessLogger): void {
  if (log.human) process.stderr.write(banner(config, address));
  else log.info('listening', facts(config, address));
}

function facts(config: Config, address: ListenAddress): Record<string, unknown> {
  return {
    version: version(),
    address: showAddress(address),
    tls: config.http.tls !== undefined,
    config: config.source.path,
    flavor: config.source.flavor,
    storage: storageOf(config),
    protocols: protocolsOf(config),
    workers: config.workers.count,
  };
}

/** The page for a terminal: what runs here, and how to push to it. */
export function banner(config: Config, address: ListenAddress): string {
  const scheme = config.http.tls === undefined ? 'http' : 'https';
  const { flavor, path } = config.source;
  const lines = [
    `Isthmus ${version()}`,
    '',
    `  listening   ${address.kind === 'unix' ? showAddress(address) : `${scheme}://${showAddress(address)}`}`,
    `  flavor      ${flavor === undefined ? path : `${flavor} (${path})`}`,
    `  storage     ${storageOf(config)}`,
    `  protocols   ${protocolsOf(config).join(', ')}`,
    `  workers     ${config.workers.count === 1 ? 'one process' : config.workers.count}`,
    ...howToPush(config, address),
  ];
  return `${lines.join('\n')}\n\n`;
}

function howToPush(config: Config, address: ListenAddress): string[] {
  if (address.kind === 'unix') return [];
  const host = pushHost(config, address);
  const lines = [
    '',
    '  any docker, podman, skopeo:',
    `    docker tag busybox ${host}/busybox && docker push ${host}/busybox`,
  ];
  if (config.protocols.v1.enabled) {
    lines.push(
      '  docker before 1.6 (V1), over plain HTTP: start its daemon with',
      `    docker -d --insecure-registry ${host}`,
    );
  }
  return lines;
}

/** A name that works from this host: docker trusts localhost without TLS. */
function pushHost(config: Config, address: ListenAddress & { kind: 'tcp' }): string {
  if (config.http.urls.host !== undefined) return new URL(config.http.urls.host).host;
  const everywhere = ['', '0.0.0.0', '::'].includes(address.host);
  const host = everywhere || address.host.startsWith('127.') ? 'localhost' : address.host;
  return `${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}

function storageOf({ storage: { driver } }: Config): string {
  switch (driver.kind) {
    case 'filesystem':
      return resolve(driver.root);
    case 'memory':
      return 'memory (gone when the process ends)';
    case 'azure':
      return `azure:${driver.container}/${driver.root}`;
    default:
      return `${driver.kind}:${driver.bucket}/${driver.root}`;
  }
}

function protocolsOf({ protocols: { v1, v2 } }: Config): string[] {
  return [...(v1.enabled ? ['V1 (/v1/)'] : []), ...(v2.enabled ? ['V2 (/v2/)'] : [])];
}
