import type { Context } from 'koa';
import type { Descriptor } from '../../storage/manifest.ts';
import { parseRepositoryName } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import { originOf } from '../http.ts';
import {
  type Access,
  type Action,
  type Registry,
  type RegistryEvent,
  registryError,
  type Session,
} from '../registry.ts';
import { RequestFacts } from '../request-facts.ts';

/** What most handlers begin with: the repository in the path, and a session that may use it. */
export interface RepositoryRequest {
  repository: Repository;
  session: Session;
}

/**
 * The repository that the path names, once the session may do all of `actions` there.
 * Throws NAME_INVALID, UNAUTHORIZED or DENIED; UNSUPPORTED for a write to a read-only registry.
 */
export async function enter(
  ctx: Context,
  registry: Registry,
  actions: readonly Action[],
): Promise<RepositoryRequest> {
  const name = parseRepositoryName(String(ctx.params.name));
  ctx.state.repository = name;
  const wanted = actions.map((action): Access => ({ type: 'repository', name, action }));
  const session = await authorize(ctx, registry, wanted);
  if (registry.readOnly && actions.some((action) => action !== 'pull')) throw readOnly();
  return { repository: registry.content.repository(name), session };
}

export async function authorize(
  ctx: Context,
  registry: Registry,
  wanted: readonly Access[],
): Promise<Session> {
  const deciding = registry.access.authorize(new RequestFacts(ctx, 'v2'), wanted);
  const session = deciding instanceof Promise ? await deciding : deciding;
  ctx.state.user = session.user;
  return session;
}

function readOnly() {
  return registryError('UNSUPPORTED', 'this registry is read-only', {
    detail: 'storage.maintenance.readonly is on',
  });
}

/** Tells the event sink what a request did. */
export function report(
  ctx: Context,
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
    request: {
      id: String(ctx.state.requestId ?? ''),
      address: ctx.ip,
      scheme: originOf(ctx.req).scheme,
      host: ctx.host,
      method: ctx.method,
      userAgent: ctx.get('user-agent'),
    },
    user: request.session.user,
  });
}
