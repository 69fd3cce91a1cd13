import { Readable } from 'node:stream';
import type { Context } from 'koa';
import { tarEntries } from '../../storage/archives/entry-source.ts';
import {
  ARCHIVE_FORMATS,
  type ArchiveFormat,
  planArchive,
} from '../../storage/archives/export-archive.ts';
import { type ImportedImage, importArchive } from '../../storage/archives/import-archive.ts';
import { tarOf, tarSize } from '../../storage/archives/tar-writer.ts';
import { parsePlatform } from '../../storage/bridge/platform.ts';
import type { Digest } from '../../storage/digest.ts';
import type { Platform } from '../../storage/manifest.ts';
import {
  parseRepositoryName,
  parseTag,
  type RepositoryName,
  type Tag,
} from '../../storage/names.ts';
import type { V1Reader } from '../../storage/v1-images.ts';
import { eventRequest } from '../event-request.ts';
import { queryValue, sendJson } from '../http.ts';
import { type Action, type Registry, registryError, type Session } from '../registry.ts';
import { openSession, RequestFacts } from '../request-facts.ts';

const SUFFIX = '.tar';

interface ArchiveRequest {
  repository: RepositoryName;
  tag: Tag;
  session: Session;
}

/** `GET` and `HEAD /api/images/NAME/TAG.tar[?format=docker|oci][&platform=os/arch]`. */
export async function getArchive(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['pull']);
  const { repository, tag } = request;
  const files = await planArchive(registry.content, [request], formatOf(ctx), platformOf(ctx));
  ctx.status = 200;
  ctx.set({
    'Content-Type': 'application/x-tar',
    'Content-Disposition': `attachment; filename="${repository.replaceAll('/', '_')}_${tag}.tar"`,
    'Cache-Control': 'no-cache',
    Vary: 'Authorization',
  });
  if (ctx.method === 'HEAD') {
    ctx.length = tarSize(files);
    ctx.respond = false;
    ctx.res.end();
    return;
  }
  await report(ctx, registry, request, 'pull');
  ctx.body = tarOf(files);
  ctx.set('Content-Type', 'application/x-tar');
  ctx.length = tarSize(files);
}

/** `PUT /api/images/NAME/TAG.tar`: an archive of any form; it gets this name, whatever it calls itself. */
export async function putArchive(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, ['pull', 'push']);
  if (registry.readOnly) throw registryError('UNSUPPORTED', 'this registry is read-only');
  const { repository, tag, session } = request;
  const imported = await receive(ctx, registry, {
    repository,
    tag,
    reader: readerOf(registry, session),
  });
  await report(ctx, registry, request, 'push');
  const image = imported.find(({ tags }) => tags.includes(tag));
  sendJson(ctx, 201, { name: repository, tag, digest: image?.digest, imageId: image?.imageId });
}

async function receive(
  ctx: Context,
  registry: Registry,
  options: { repository: RepositoryName; tag: Tag; reader: V1Reader },
): Promise<ImportedImage[]> {
  const { content } = registry;
  const { maxBytes, maxRatio } = content.facts.limits;
  // A refusal must leave the connection whole, so that the client can read it.
  const body = Readable.from(ctx.req.iterator({ destroyOnReturn: false }), { objectMode: false });
  const limits = {
    maxBytes: maxBytes ?? Number.POSITIVE_INFINITY,
    ...(maxRatio !== undefined && { maxRatio }),
  };
  try {
    return await importArchive(content, tarEntries(body, limits), options);
  } catch (error) {
    if (!ctx.req.destroyed || ctx.req.complete) throw error;
    throw registryError('REQUEST_INVALID', 'the request ended before its archive was complete', {
      cause: error,
    });
  }
}

async function enter(
  ctx: Context,
  registry: Registry,
  actions: readonly Action[],
): Promise<ArchiveRequest> {
  const file = String(ctx.params.file);
  if (!file.endsWith(SUFFIX)) {
    throw registryError(
      'NOT_FOUND',
      'nothing is served at this path; use /api/images/NAME/TAG.tar',
    );
  }
  const repository = parseRepositoryName(String(ctx.params.name));
  const tag = parseTag(file.slice(0, -SUFFIX.length));
  ctx.state.repository = repository;
  const session = await openSession(
    ctx,
    registry,
    new RequestFacts(ctx.req, 'v2'),
    actions.map((action) => ({ type: 'repository' as const, name: repository, action })),
  );
  return { repository, tag, session };
}

function formatOf(ctx: Context): ArchiveFormat {
  const text = queryValue(ctx, 'format') ?? 'docker';
  const format = ARCHIVE_FORMATS.find((each) => each === text);
  if (format) return format;
  throw registryError('REQUEST_INVALID', `unknown format; use ${ARCHIVE_FORMATS.join(' or ')}`);
}

function platformOf(ctx: Context): Platform | undefined {
  const text = queryValue(ctx, 'platform');
  if (text === undefined) return undefined;
  const platform = parsePlatform(text);
  if (platform) return platform;
  throw registryError('REQUEST_INVALID', 'a platform is os/architecture, such as linux/amd64');
}

function readerOf(registry: Registry, session: Session): V1Reader {
  return {
    unrestricted: !registry.access.accounts,
    mayPull: (name) => session.may({ type: 'repository', name, action: 'pull' }),
    claimant: session.user ?? '',
  };
}

async function report(
  ctx: Context,
  registry: Registry,
  { repository, tag, session }: ArchiveRequest,
  action: 'pull' | 'push',
): Promise<void> {
  const digest: Digest | undefined = await registry.content
    .repository(repository)
    .tags.resolve(tag);
  registry.events.emit({
    action,
    protocol: 'v2',
    repository,
    tag,
    target: digest ? { digest } : {},
    request: eventRequest(ctx),
    user: session.user,
  });
}
