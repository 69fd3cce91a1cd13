import type { IncomingMessage } from 'node:http';
import type { Answer, Incoming } from '../protocols/answer.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { type Registry, registryError } from '../protocols/registry.ts';
import { RegistryError } from '../storage/errors.ts';

/** Whether a path, without the registry's prefix, is this protocol's to answer. */
export function owns({ prefix, alsoServes }: Protocol, path: string): boolean {
  if (path.startsWith(prefix)) return path.length === prefix.length || path[prefix.length] === '/';
  return alsoServes?.includes(path) ?? false;
}

/** The headers of every answer of the protocol. Throws what the protocol refuses this client with. */
export function greetingOf(protocol: Protocol, request: IncomingMessage): readonly string[] {
  return protocol.greet?.(request) ?? [];
}

/**
 * Refuses requests that a proxy in front might read in another way than we do (RFC 9112 sections 3.2 and 6.1).
 * Throws REQUEST_INVALID.
 */
export function refuseAmbiguity(request: IncomingMessage): void {
  const { rawHeaders } = request;
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1 || (hosts === 0 && request.httpVersion === '1.1')) {
    throw registryError('REQUEST_INVALID', `the request has ${hosts} Host headers; send one`);
  }
  if (request.httpVersionMajor < 1) {
    throw registryError('REQUEST_INVALID', 'HTTP before 1.0 is not spoken here');
  }
  const coding = request.headers['transfer-encoding'];
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    throw registryError('REQUEST_INVALID', 'the only transfer coding understood is chunked');
  }
}

/** The answer to a request that failed; what is nobody's mistake but ours, or the disk's, is logged. */
export function failureAnswer(
  registry: Registry,
  protocol: Protocol,
  { req, state }: Incoming,
  error: unknown,
): Answer {
  const about = { id: state.requestId, method: req.method, path: req.url };
  if (error instanceof RegistryError) {
    if (error.code.startsWith('STORAGE_')) {
      // What a client is told in a word is for the operator to mend.
      const cause = error.cause instanceof Error ? error.cause.message : undefined;
      registry.log.error('the storage refused', { ...about, reason: error.message, cause });
    }
    return protocol.renderError(req, error);
  }
  const told = error instanceof Error ? error.stack : String(error);
  registry.log.error('request failed', { ...about, error: told });
  return protocol.renderError(req, registryError('UNKNOWN', 'unknown error', { cause: error }));
}
