import type Router from '@koa/router';
import type { Context } from 'koa';
import type { V1ListEntry } from '../../storage/v1-store.ts';
import { sendEmpty } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { imageListOf } from './image-list.ts';
import { forbidCaching, sendJson } from './json.ts';
import { type JsonReader, jsonReader } from './json-body.ts';
import { enter, type RepositoryRequest, report, requireDeletion, viewerOf } from './session.ts';
import { setSessionHeaders } from './session-headers.ts';
import { signal } from './signals.ts';

/** What makes docker-registry an index as well (v1.md 1.8): the routes a push and a pull begin and end with. */
export function indexRoutes(router: Router, registry: Registry): void {
  const readJson = jsonReader(registry.limits.jsonBytes);
  router.get('/v1/repositories/*name/images', (ctx) => getImages(ctx, registry));
  router.put('/v1/repositories/*name/images', async (ctx) => {
    await announce(ctx, registry, readJson);
    forbidCaching(ctx);
    sendEmpty(ctx, 204);
  });
  router.delete('/v1/repositories/*name/images', (ctx) => deleteImages(ctx, registry));
  router.put('/v1/repositories/*name/auth', (ctx) => sendJson(ctx, 200, 'OK'));
}

/** Properties, and the repository itself (v1.md 1.7). These routes end in the name, so they come after all others. */
export function repositoryRoutes(router: Router, registry: Registry): void {
  const readJson = jsonReader(registry.limits.jsonBytes);
  router.get('/v1/repositories/*name/properties', (ctx) => getProperties(ctx, registry));
  router.put('/v1/repositories/*name/properties', (ctx) => putProperties(ctx, registry, readJson));
  router.delete('/v1/repositories/*name/tags', (ctx) => deleteRepository(ctx, registry));
  router.delete('/v1/repositories/*name', (ctx) => deleteRepository(ctx, registry));
  if (!registry.v1.standalone) return;
  router.put('/v1/repositories/*name', async (ctx) => {
    await announce(ctx, registry, readJson);
    sendJson(ctx, 200, '');
  });
}

/** A list of images, merged into the repository's own. An empty one, as engines send at the end, changes nothing. */
async function announce(ctx: Context, registry: Registry, readJson: JsonReader): Promise<void> {
  const request = await enter(ctx, registry, 'push');
  const list = imageListOf(await readJson(ctx, 'Error Decoding JSON'));
  await store(registry, request, list);
  setSessionHeaders(ctx, registry, request, 'write');
}

/** The first list makes the repository (v1.md 5). */
async function store(
  registry: Registry,
  { v1 }: RepositoryRequest,
  list: readonly V1ListEntry[],
): Promise<void> {
  if (!registry.v1.hooks) return v1.announce(list);
  const isNew = !(await v1.exists());
  if (isNew) await signal(registry, 'repository_created', v1.name, { value: list });
  await v1.announce(list);
  if (!isNew) {
    await signal(registry, 'repository_updated', v1.name, { value: await v1.images() });
  }
}

async function getImages(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, 'pull');
  ctx.vary('User-Agent');
  const images = await request.v1.images(viewerOf(ctx, request.reader));
  if (!images) throw registryError('NAME_UNKNOWN', 'images not found');
  setSessionHeaders(ctx, registry, request, 'read');
  sendJson(
    ctx,
    200,
    images.map(({ id, checksum }) => ({ id, checksum })),
  );
}

/** Images belong to their tags; the route only hands out a session. */
async function deleteImages(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, 'delete');
  setSessionHeaders(ctx, registry, request, 'delete');
  forbidCaching(ctx);
  sendEmpty(ctx, 204);
}

async function deleteRepository(ctx: Context, registry: Registry): Promise<void> {
  const request = await enter(ctx, registry, 'delete');
  requireDeletion(registry);
  if (!(await request.v1.delete())) {
    throw registryError('NAME_UNKNOWN', 'Repository not found');
  }
  await signal(registry, 'repository_deleted', request.v1.name);
  report(ctx, registry, request, 'delete', {});
  sendJson(ctx, 200, true);
}

/** `private` is a note that clients may leave; who may read what is up to the access rules. */
async function getProperties(ctx: Context, registry: Registry): Promise<void> {
  const { v1 } = await enter(ctx, registry, 'pull');
  const record = await v1.readRecord('properties');
  const access = record && (JSON.parse(record.toString()) as { access: string }).access;
  sendJson(ctx, 200, { access: access ?? 'public' });
}

async function putProperties(ctx: Context, registry: Registry, readJson: JsonReader) {
  const { v1 } = await enter(ctx, registry, 'push');
  const body = await readJson(ctx, 'Invalid data');
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  if (!isObject || Object.keys(body).length === 0) {
    throw registryError('REQUEST_INVALID', 'Invalid data');
  }
  if (!('access' in body)) {
    throw registryError(
      'REQUEST_INVALID',
      'Invalid data: access is missing; use "private" or "public"',
    );
  }
  const { access } = body;
  if (access === 'private' || access === 'public') {
    await v1.writeRecord('properties', JSON.stringify({ access }));
  }
  sendJson(ctx, 200, true);
}
