import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Manifest } from '../../storage/manifest.ts';
import { isImageId, isTag, type Tag } from '../../storage/names.ts';
import type { Repository } from '../../storage/repository.ts';
import { type Registry, registryError } from '../registry.ts';
import { sendJson } from './json.ts';
import { type JsonReader, jsonReader } from './json-body.ts';
import { enter, report, requireDeletion, viewerOf } from './session.ts';
import { signal } from './signals.ts';
import { tagInfo, UNKNOWN_TAG_INFO } from './user-agent.ts';

/** Tags, and what is known of who pushed them (v1.md 1.7). */
export function tagRoutes(router: Router, registry: Registry): void {
  const readJson = jsonReader(registry.limits.jsonBytes);
  router.get('/v1/repositories/*name/tags', (ctx) => getTags(ctx, registry));
  router.get('/v1/repositories/*name/tags/:tag', (ctx) => getTag(ctx, registry));
  router.put('/v1/repositories/*name/tags/:tag', (ctx) => putTag(ctx, registry, readJson));
  router.delete('/v1/repositories/*name/tags/:tag', (ctx) => deleteTag(ctx, registry));
  router.get('/v1/repositories/*name/tags/:tag/json', (ctx) =>
    getTagInfo(ctx, registry, String(ctx.params.tag)),
  );
  router.get('/v1/repositories/*name/json', (ctx) => getTagInfo(ctx, registry, 'latest'));
}

async function getTags(ctx: Context, registry: Registry): Promise<void> {
  const { v1, reader } = await enter(ctx, registry, 'pull');
  ctx.vary('User-Agent');
  const tags = await v1.tags(viewerOf(ctx, reader));
  if (tags.size === 0 && !(await v1.exists())) {
    throw registryError('NAME_UNKNOWN', 'Repository not found');
  }
  sendJson(ctx, 200, tags);
}

async function getTag(ctx: Context, registry: Registry): Promise<void> {
  const { v1, reader } = await enter(ctx, registry, 'pull');
  ctx.vary('User-Agent');
  const tag = String(ctx.params.tag);
  const view = isTag(tag) ? await v1.view(tag, viewerOf(ctx, reader)) : undefined;
  if (view === undefined) throw registryError('TAG_UNKNOWN', 'Tag not found');
  if ('reason' in view) {
    throw registryError(
      'TAG_UNKNOWN',
      `Tag not found: ${tag} cannot be shown over V1 (${view.reason}): ${view.detail}`,
    );
  }
  sendJson(ctx, 200, view.id);
}

async function putTag(ctx: Context, registry: Registry, readJson: JsonReader): Promise<void> {
  const request = await enter(ctx, registry, 'push');
  const { repository, v1, reader } = request;
  const tag = tagToWrite(String(ctx.params.tag));
  const id = await readJson(ctx, 'Invalid data');
  if (typeof id !== 'string') throw registryError('REQUEST_INVALID', 'Invalid data');
  if (!isImageId(id)) throw registryError('IMAGE_UNKNOWN', 'Image not found');
  const info = tagInfo(ctx.get('user-agent'), Date.now());
  const set = v1.setTag(tag, id, reader);
  await v1.writeRecord(infoRecord(tag), JSON.stringify(info), set);
  await signal(registry, 'tag_created', v1.name, { tag, value: id });
  if (registry.events.active !== false) {
    const manifest = await manifestOf(repository, tag);
    const { config, layers = [] } = manifest ?? {};
    const references = () => [...(config ? [config] : []), ...layers];
    const target = { ...manifest?.descriptor, imageId: id };
    report(ctx, registry, request, 'push', target, { tag, references });
  }
  sendJson(ctx, 200, true);
}

/** What the tag names for V2: those who listen hear of the same manifest, whichever protocol pushed it. */
async function manifestOf(repository: Repository, tag: Tag): Promise<Manifest | undefined> {
  const digest = await repository.tags.resolve(tag);
  return digest && repository.manifests.get(digest);
}

function tagToWrite(text: string): Tag {
  if (isTag(text)) return text;
  throw registryError('TAG_INVALID', 'Invalid tag name (must match ^[\\w][\\w.-]{0,127}$)');
}

async function deleteTag(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, 'delete');
  requireDeletion(registry);
  const tag = String(ctx.params.tag);
  const digest = isTag(tag) ? await request.repository.tags.resolve(tag) : undefined;
  if (!isTag(tag) || !(await request.v1.deleteTag(tag))) {
    throw registryError('TAG_UNKNOWN', `Tag not found: ${tag.slice(0, 200)}`);
  }
  await signal(registry, 'tag_deleted', request.v1.name, { tag });
  report(ctx, registry, request, 'delete', digest ? { digest } : {}, { tag });
  sendJson(ctx, 200, true);
}

/** Never 404: what is not known of a tag has defaults, and so has a tag that is not there. */
async function getTagInfo(ctx: Context, registry: Registry, tag: string): Promise<void> {
  const { v1 } = await enter(ctx, registry, 'pull');
  const record = isTag(tag) ? await v1.readRecord(infoRecord(tag)) : undefined;
  sendJson(ctx, 200, record ? JSON.parse(record.toString()) : UNKNOWN_TAG_INFO);
}

function infoRecord(tag: Tag): string {
  return `tag-info/${tag}`;
}
