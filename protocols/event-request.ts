import type { Incoming } from './answer.ts';
import { clientAddress, originOf } from './http.ts';
import type { RegistryEvent } from './registry.ts';

/** What an event tells of the request that caused it (v2.md 5.4). */
export function eventRequest({ req, state }: Incoming): RegistryEvent['request'] {
  const { scheme, host } = originOf(req);
  return {
    id: state.requestId ?? '',
    address: clientAddress(req),
    scheme,
    host,
    method: req.method ?? '',
    userAgent: req.headers['user-agent'] ?? '',
  };
}
