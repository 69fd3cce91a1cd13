import type { Context } from 'koa';
import type { Descriptor } from '../../storage/manifest.ts';
import { parseRepositoryName } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import { type Answer, type Incoming, respond } from '../answer.ts';
import { eventRequest } from '../event-request.ts';
import {
  type Access,
  type Action,
  type Registry,
  type RegistryEvent,
  registryError,
  type Session,
} from '../registry.ts';
import { openSession, RequestFacts } from '../request-facts.ts';

/** What most handlers begin with: the repository in the path, and a session that may use it. */
export interface RepositoryRequest {
  repository: Repository;
  session: Session;
}

/** Decides the answer to a request to a repository; `reference` is the last segment of its path. */
export type RepositoryHandler = (
  incoming: Incoming,
  registry: Registry,
  name: string,
  reference: string,
) => Promise<Answer>;

/** A handler as a route, for paths and methods that come by way of the router. */
export function routeTo(registry: Registry, handle: RepositoryHandler) {
  return async (ctx: Context): Promise<void> => {
    const { name, reference } = ctx.params;
    const answer = await handle(ctx, registry, String(name), String(reference ?? ''));
    return respond(ctx, answer);
  };
}

/**
 * The repository that the path names, once the session may do all of `actions` there.
 * Throws NAME_INVALID, UNAUTHORIZED or DENIED; UNSUPPORTED for a write to a read-only registry.
 */
export function enter(
  ctx: Context,
  registry: Registry,
  actions: readonly Action[],
): Promise<RepositoryRequest> {
  return enterRepository(ctx, registry, String(ctx.params.name), actions);
}

/** As `enter`, for a repository that is named otherwise than by Koa's parameters. */
export async function enterRepository(
  incoming: Incoming,
  registry: Registry,
  path: string,
  actions: readonly Action[],
): Promise<RepositoryRequest> {
  const name = parseRepositoryName(path);
  incoming.state.repository = name;
  const wanted = actions.map((action): Access => ({ type: 'repository', name, action }));
  const deciding = authorize(incoming, registry, wanted);
  const session = deciding instanceof Promise ? await deciding : deciding;
  if (registry.readOnly && actions.some((action) => action !== 'pull')) throw readOnly();
  return { repository: registry.content.repository(name), session };
}

/** The session of this request, which may do everything in `wanted`. Throws UNAUTHORIZED or DENIED. */
export function authorize(
  incoming: Incoming,
  registry: Registry,
  wanted: readonly Access[],
): Session | Promise<Session> {
  return openSession(incoming, registry, new RequestFacts(incoming.req, 'v2'), wanted);
}

function readOnly() {
  return registryError('UNSUPPORTED', 'this registry is read-only', {
    detail: 'storage.maintenance.readonly is on',
  });
}

/** Tells the event sink what a request did. */
export function report(
  incoming: Incoming,
  registry: Registry,
  request: RepositoryRequest,
  action: RegistryEvent['action'],
  target: Partial<Descriptor>,
  extra: { tag?: string; fromRepository?: string; references?: () => readonly Descriptor[] } = {},
): void {
  if (registry.events.active === false) return;
  registry.events.emit({
    action,
    protocol: 'v2',
    repository: request.repository.name,
    target,
    ...extra,
    request: eventRequest(incoming),
    user: request.session.user,
  });
}
