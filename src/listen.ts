import { once } from 'node:events';
import { unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ListenAddress } from './config/scalars.ts';

/** Why the registry can't listen where it was told to, and what would help. */
export class ListenError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
  }
}

interface ListenOptions {
  /** Whether connections are handed on without a byte being read. Default false. */
  paused?: boolean;
  /** A server of another process that listens there already, and goes on. */
  inherited?: Server | undefined;
}

/** Opens the address and hands each connection to `accept`. Throws a ListenError. */
export async function listen(
  address: ListenAddress,
  accept: (socket: Socket) => void,
  { paused = false, inherited }: ListenOptions = {},
): Promise<Server> {
  const server = createServer({ noDelay: true, pauseOnConnect: paused }, accept);
  if (inherited !== undefined) {
    // At once: a connection that came before would be nobody's.
    server.listen(inherited);
    await once(server, 'listening');
    return server;
  }
  if (address.kind === 'unix') await removeStaleSocket(address.path);
  try {
    server.listen(
      address.kind === 'unix'
        ? // As reachable as a port is, like gunicorn's: who may connect is for the folder to say.
          { path: address.path, readableAll: true, writableAll: true }
        : { port: address.port, ...hostOf(address.host) },
    );
    await once(server, 'listening');
  } catch (error) {
    throw new ListenError(explain(address, error as NodeJS.ErrnoException), error);
  }
  return server;
}

function hostOf(host: string): { host?: string } {
  return host === '' ? {} : { host };
}

/** A socket that nobody answers on was left by a process that was killed. */
async function removeStaleSocket(path: string): Promise<void> {
  const probe = connect(path);
  try {
    await once(probe, 'connect');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') unlinkSync(path);
  } finally {
    probe.destroy();
  }
}

function explain(address: ListenAddress, error: NodeJS.ErrnoException): string {
  const where = showAddress(address);
  if (address.kind === 'unix') return explainSocket(where, error);
  switch (error.code) {
    case 'EADDRINUSE':
      return `can't listen on ${where}: the port is in use; see what holds it with: ss -ltnp 'sport = :${address.port}', or set REGISTRY_PORT`;
    case 'EACCES':
      return `can't listen on ${where}: ports below 1024 need root or CAP_NET_BIND_SERVICE; set REGISTRY_PORT to one above`;
    case 'EADDRNOTAVAIL':
      return `can't listen on ${where}: no interface of this host has that address; set REGISTRY_HOST=0.0.0.0 for all`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `can't listen on ${where}: the host name is unknown; set REGISTRY_HOST to an address`;
    default:
      return `can't listen on ${where}: ${error.message}`;
  }
}

function explainSocket(where: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `can't listen on ${where}: another process answers there; stop it, or choose another path`;
    case 'ENOENT':
      return `can't listen on ${where}: the folder does not exist; make it, or choose another path`;
    case 'EACCES':
      return `can't listen on ${where}: this user may not write in the folder`;
    default:
      return `can't listen on ${where}: ${error.message}`;
  }
}

/** `127.0.0.1:5000`, `[::1]:5000`, `*:5000` or `unix:/run/x.sock`. */
export function showAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host || '*';
  return `${host}:${address.port}`;
}

/** Where a server really listens: its port is known even when 0 was asked for. */
export function listeningAddress(server: Server): ListenAddress {
  const address = server.address();
  if (address === null || typeof address === 'string') return { kind: 'unix', path: address ?? '' };
  return { kind: 'tcp', host: address.address === '::' ? '' : address.address, port: address.port };
}
