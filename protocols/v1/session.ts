import type { Context } from 'koa';
import { platformOfUserAgent } from '../../storage/bridge/platform.ts';
import type { Descriptor } from '../../storage/manifest.ts';
import { parseImageId, type V1ImageId } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import type { V1Reader } from '../../storage/v1-images.ts';
import type { V1Images, V1Repository, V1Viewer } from '../../storage/v1-store.ts';
import type { Incoming } from '../answer.ts';
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
import { repositoryOf } from './names.ts';

/** What handlers of a repository begin with. */
export interface RepositoryRequest {
  repository: Repository;
  /** What V1 clients see of it: with what a mirror's upstream has. */
  v1: V1Repository;
  session: Session;
  reader: V1Reader;
}

/** What handlers of an image begin with. */
export interface ImageRequest {
  id: V1ImageId;
  session: Session;
  reader: V1Reader;
}

/**
 * The repository that the path names, once the session may do `action` there.
 * Throws NAME_INVALID, UNAUTHORIZED or DENIED; UNSUPPORTED for a write to a read-only registry.
 */
export async function enter(
  ctx: Context,
  registry: Registry,
  action: Action,
): Promise<RepositoryRequest> {
  const name = await repositoryOf(registry.content, String(ctx.params.name));
  ctx.state.repository = name;
  const session = await authorize(ctx, registry, [{ type: 'repository', name, action }]);
  if (action !== 'pull') requireWritable(registry);
  const reader = readerOf(registry, session);
  const repository = registry.content.repository(name);
  const v1 = registry.v1.mirror?.repository(repository.v1) ?? repository.v1;
  return { repository, v1, session, reader };
}

/** The images that V1 clients see: with those that a mirror's upstream has. */
export function imagesOf({ content, v1 }: Registry): V1Images {
  return v1.mirror?.images ?? content.v1;
}

/**
 * The image whose ID the path has. Image routes carry no repository: the store shows an image only through one that
 * the session may read. Throws UNAUTHORIZED, IMAGE_UNKNOWN for a malformed id, UNSUPPORTED as `enter`.
 */
export async function enterImage(
  incoming: Incoming,
  registry: Registry,
  path: string,
  action: 'pull' | 'push',
): Promise<ImageRequest> {
  const deciding = authorize(incoming, registry, []);
  const session = deciding instanceof Promise ? await deciding : deciding;
  const id = parseImageId(path);
  if (action === 'push') {
    requirePusher(registry, session);
    requireWritable(registry);
  }
  return { id, session, reader: readerOf(registry, session) };
}

/** The session of this request, by Basic or by a V1 token (v1.md 1.2, 2.2). */
export function authorize(
  incoming: Incoming,
  registry: Registry,
  wanted: readonly Access[],
): Session | Promise<Session> {
  return openSession(incoming, registry, new RequestFacts(incoming.req, 'v1', credentials), wanted);
}

/**
 * The Authorization header as an access control should see it. Engines put their own `Token` before the one that
 * docker-registry sent, and without credentials they send an empty token, or an empty name and password.
 */
export function credentials(header: string): string | undefined {
  const token = /^token\b\s*(?:token\s+)?(.*)$/is.exec(header.trim());
  if (token) return token[1] ? `Token ${token[1]}` : undefined;
  if (/^basic\s+Og==$/i.test(header.trim())) return undefined;
  return header === '' ? undefined : header;
}

/** Throws UNSUPPORTED when the operator has switched deletion off. */
export function requireDeletion(registry: Registry): void {
  if (registry.deletion) return;
  throw registryError(
    'UNSUPPORTED',
    'deletion is switched off; set storage.delete.enabled to allow it',
  );
}

function requireWritable(registry: Registry): void {
  if (registry.readOnly) throw registryError('UNSUPPORTED', 'this registry is read-only');
}

/** Which repository an image is for shows only when it is tagged; until then, anybody known may bring one. */
function requirePusher(registry: Registry, session: Session): void {
  const { repository: name, user } = session;
  if (!registry.access.accounts) return;
  const allowed =
    name === undefined
      ? user !== undefined
      : session.may({ type: 'repository', name, action: 'push' });
  if (!allowed) throw registryError('UNAUTHORIZED', 'this session may not push');
}

/**
 * Throws IMAGE_INVALID for an image that an outside index does not know of: the list that it was sent at the beginning
 * of the push has all of them (v1.md 1.2).
 */
export function requireListed({ images }: Session, id: V1ImageId): void {
  if (images === undefined || images.has(id)) return;
  throw registryError('IMAGE_INVALID', 'This image does not belong to the repository');
}

function readerOf(registry: Registry, session: Session): V1Reader {
  return {
    unrestricted: !registry.access.accounts,
    mayPull: (name) => session.may({ type: 'repository', name, action: 'pull' }),
    ...(session.repository !== undefined && { only: session.repository }),
    claimant: claimantOf(session),
  };
}

/**
 * In whose name images are pushed: the user's, or that of the repository which a token without a user speaks for, so that
 * later layers of a push find the earlier ones. No user has such a name.
 */
function claimantOf({ user, repository }: Session): string {
  if (user !== undefined) return user;
  return repository === undefined ? '' : `\0repository ${repository}`;
}

/** Who looks at tags: an engine of some platform gets that platform's image of an index. */
export function viewerOf(ctx: Context, reader: V1Reader): V1Viewer {
  const platform = platformOfUserAgent(ctx.get('user-agent'));
  return { reader, ...(platform && { platform }) };
}

/** Tells the event sink what a request did. */
export function report(
  incoming: Incoming,
  registry: Registry,
  { session, repository }: { session: Session; repository?: Repository },
  action: RegistryEvent['action'],
  target: Partial<Descriptor> & { imageId?: string },
  extra: { tag?: string; references?: () => readonly Descriptor[] } = {},
): void {
  if (registry.events.active === false) return;
  registry.events.emit({
    action,
    protocol: 'v1',
    repository: repository?.name ?? session.repository ?? '',
    target,
    ...extra,
    request: eventRequest(incoming),
    user: session.user,
  });
}
