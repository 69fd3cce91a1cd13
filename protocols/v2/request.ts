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

/** A request to a repository, once it is let in: all that a handler works with. */
export interface RepositoryRequest {
  readonly incoming: Incoming;
  readonly registry: Registry;
  readonly repository: Repository;
  readonly session: Session;
  /** The last segment of the path: a tag, a digest, the id of an upload. */
  readonly reference: string;
}

/** Decides the answer to a request for a repository, whose name and reference are as in the path. */
export type RepositoryHandler = (
  incoming: Incoming,
  registry: Registry,
  name: string,
  reference: string,
) => Promise<Answer>;

/** A handler that comes after `enter`. */
export function onRepository(
  actions: readonly Action[],
  handle: (request: RepositoryRequest) => Promise<Answer>,
): RepositoryHandler {
  return (incoming, registry, name, reference) =>
    enter(incoming, registry, { name, reference, actions }).then(handle);
}

/** A handler as a route, for paths and methods that come by way of the router. */
export function routeTo(registry: Registry, handle: RepositoryHandler) {
  return async (ctx: Context): Promise<void> => {
    const { name, reference } = ctx.params;
    const answer = await handle(ctx, registry, String(name), String(reference ?? ''));
    return respond(ctx, answer);
  };
}

/**
 * The request for the repository of this name, once its session may do all of `actions` there.
 * Throws NAME_INVALID, UNAUTHORIZED or DENIED; UNSUPPORTED for a write to a read-only registry.
 */
export async function enter(
  incoming: Incoming,
  registry: Registry,
  wanted: { name: string; reference: string; actions: readonly Action[] },
): Promise<RepositoryRequest> {
  const { reference, actions } = wanted;
  const name = parseRepositoryName(wanted.name);
  incoming.state.repository = name;
  const access = actions.map((action): Access => ({ type: 'repository', name, action }));
  const deciding = authorize(incoming, registry, access);
  const session = deciding instanceof Promise ? await deciding : deciding;
  if (registry.readOnly && actions.some((action) => action !== 'pull')) throw readOnly();
  return { incoming, registry, repository: registry.content.repository(name), session, reference };
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
  { incoming, registry, repository, session }: RepositoryRequest,
  action: RegistryEvent['action'],
  target: Partial<Descriptor>,
  extra: { tag?: string; fromRepository?: string; references?: () => readonly Descriptor[] } = {},
): void {
  if (registry.events.active === false) return;
  registry.events.emit({
    action,
    protocol: 'v2',
    repository: repository.name,
    target,
    ...extra,
    request: eventRequest(incoming),
    user: session.user,
  });
}
