import { randomInt } from 'node:crypto';
import type { Context } from 'koa';
import { originOf } from '../http.ts';
import type { Registry } from '../registry.ts';
import { longForm } from './names.ts';
import type { RepositoryRequest } from './session.ts';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/**
 * The headers with which an index route hands the client on to the registry routes (v1.md 1.8): a token for the rest
 * of the push or pull, and where it goes on. Engines up to 1.6 refuse an answer without them.
 */
export function setSessionHeaders(
  ctx: Context,
  registry: Registry,
  request: RepositoryRequest,
  access: 'read' | 'write' | 'delete',
): void {
  const token = tokenFor(registry, request, access);
  ctx.set({ 'X-Docker-Token': token, 'WWW-Authenticate': token });
  const endpoints = endpointsFor(ctx, registry);
  if (endpoints.length > 0) ctx.set('X-Docker-Endpoints', endpoints);
}

function tokenFor(
  { access: control }: Registry,
  { session, repository }: RepositoryRequest,
  access: 'read' | 'write' | 'delete',
): string {
  const issued = control.issueV1Token?.(session, repository.name, access);
  if (issued !== undefined) return /^token /i.test(issued) ? issued : `Token ${issued}`;
  // Nobody checks it: without accounts it only has to be there.
  const signature = Array.from({ length: 16 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  return `Token signature=${signature},repository="${longForm(repository.name)}",access=${access}`;
}

/**
 * Hosts without a scheme. Engines up to 0.10 read one from each header line, later ones split lines at commas too. Where
 * no address is configured it is the one that the client used: whoever forges that sends himself elsewhere (v1.md B24).
 */
function endpointsFor(ctx: Context, registry: Registry): string[] {
  const { endpoints } = registry.v1;
  if (endpoints) return endpoints.split(',').map((endpoint) => endpoint.trim());
  if (registry.urls.host !== undefined) return [new URL(registry.urls.host).host];
  const { host } = originOf(ctx.req);
  return /^[A-Za-z0-9.:[\]_-]+$/.test(host) ? [host] : [];
}
