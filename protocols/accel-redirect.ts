import type { IncomingMessage } from 'node:http';
import type { Digest } from '../storage/digest.ts';
import type { Registry } from './registry.ts';

/** Files below `root` are sent by a web server in front, which knows them under the internal location `prefix`. */
export interface AccelRedirect {
  prefix: string;
  root: string;
}

/**
 * The internal location under which an nginx in front sends the file of a blob itself (X-Accel-Redirect); undefined where
 * we send it. Only a request that a trusted proxy forwarded may get one: any other client would get no bytes at all.
 * Small blobs are sent from memory as quickly as nginx could open them.
 */
export function internalLocation(
  { content, accelRedirect }: Registry,
  request: IncomingMessage,
  blob: Digest,
  size: number,
): string | undefined {
  if (accelRedirect === undefined || !isForwarded(request)) return undefined;
  if (content.blobs.isSmall(size)) return undefined;
  const file = content.blobs.filename(blob);
  if (!file?.startsWith(`${accelRedirect.root}/`)) return undefined;
  return `${accelRedirect.prefix}${file.slice(accelRedirect.root.length)}`;
}

/** What an untrusted client says of itself in these headers was taken out before. */
function isForwarded({ headers }: IncomingMessage): boolean {
  return headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
}
