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

/** Whether a request may have changed something that events tell of. */
export function isWrite({ method }: { method?: string | undefined }): boolean {
  return method !== 'GET' && method !== 'HEAD';
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

const METHODS = ['HEAD', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** The methods that the protocol answers on this path without its router. */
export function directMethods(protocol: Protocol, path: string): string[] {
  return METHODS.filter((method) => protocol.direct?.(method, path) !== undefined);
}

/**
 * The answer to a request that failed; what is nobody's mistake but ours, or the disk's, is logged. `methods` gives all
 * that the path has, of which a 405 names (RFC 9110 section 15.5.6) neither the one that it refuses, nor a write to a
 * read-only registry.
 */
export function failureAnswer(
  registry: Registry,
  protocol: Protocol,
  incoming: Incoming,
  error: unknown,
  methods: () => string[],
): Answer {
  const answer = renderFailure(registry, protocol, incoming, error);
  if (answer.status === 405) {
    const left = methods().filter(
      (method) => method !== incoming.req.method && !(registry.readOnly && isWrite({ method })),
    );
    answer.headers.push('Allow', left.join(', '));
  }
  return answer;
}

function renderFailure(
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
