import type Router from '@koa/router';
import type { Context } from 'koa';
import { digestOf } from '../../storage/digest.ts';
import type { V1Image, V1Reader } from '../../storage/v1-images.ts';
import { answerWith, respond } from '../answer.ts';
import { type Registry, registryError } from '../registry.ts';
import { BackgroundAnswers } from './background-answers.ts';
import { cachingHeaders, layerEtag, notModified } from './image-caching.ts';
import { forbidCaching, legacyJson } from './json.ts';
import type { FileEntry } from './layer-files.ts';
import { enterImage, imagesOf } from './session.ts';

/** A longer list than anybody reads, in characters. */
const MAX_LIST = 48 * 1024 * 1024;
/** How long a client waits for a diff before it hears that there is none yet. */
const DIFF_WAIT_MS = 2_000;

/** What is in a layer, and how it changes the layers below (v1.md 1.4). */
export function imageFileRoutes(router: Router, registry: Registry): void {
  const answers = new BackgroundAnswers();
  router.get('/v1/images/:id/files', async (ctx) => {
    const { id, reader } = await enterImage(ctx, registry, String(ctx.params.id), 'pull');
    const image = await imagesOf(registry).image(id, reader);
    const files = await answers.get(`files ${layerEtag(image)}`, () => filesOf(image));
    await send(ctx, registry, files);
  });
  router.get('/v1/images/:id/diff', async (ctx) => {
    const { id, reader } = await enterImage(ctx, registry, String(ctx.params.id), 'pull');
    const image = await imagesOf(registry).image(id, reader);
    const key = `diff ${id} ${layerEtag(image)} ${digestOf(image.ancestry.join())}`;
    const diff = await answers.getWithin(DIFF_WAIT_MS, key, () => diffOf(image, registry, reader));
    if (diff) await send(ctx, registry, diff);
    else sendUnfinished(ctx);
  });
}

function send(ctx: Context, registry: Registry, body: Buffer): Promise<void> {
  const etag = digestOf(body);
  const headers = [...cachingHeaders(registry, etag), 'Content-Type', 'application/json'];
  return respond(ctx, notModified(ctx, registry, etag) ?? answerWith(200, headers, body));
}

/** An empty body says: ask again. */
function sendUnfinished(ctx: Context): void {
  forbidCaching(ctx);
  ctx.status = 200;
  ctx.set('Content-Type', 'application/json');
  ctx.body = Buffer.alloc(0);
}

async function filesOf(image: V1Image): Promise<Buffer> {
  const items: string[] = [];
  let length = 0;
  const { visitFiles } = await import('./layer-files.ts');
  await visitFiles(image.layer, (entry) => {
    const item = legacyJson(entry);
    length += item.length;
    if (length > MAX_LIST) throw tooLong();
    items.push(item);
  });
  return Buffer.from(`[${items.join(', ')}]`);
}

/** All but the name. */
type Facts = FileEntry extends [string, ...infer Rest] ? Rest : never;

/**
 * A file is changed when the nearest layer below that mentions it has it, and created when that layer hides it or
 * none mentions it.
 */
async function diffOf(image: V1Image, registry: Registry, reader: V1Reader): Promise<Buffer> {
  const deleted = new Map<string, Facts>();
  const created = new Map<string, Facts>();
  const changed = new Map<string, Facts>();
  const { visitFiles } = await import('./layer-files.ts');
  await visitFiles(image.layer, ([name, ...facts]) => {
    if (created.size + deleted.size > MAX_LIST / 100) throw tooLong();
    (facts[1] ? deleted : created).set(name, facts);
  });
  // Archives differ in whether names begin with a slash; files do not.
  const undecided = new Map([...created.keys()].map((name) => [withoutSlash(name), name]));
  for (const id of image.ancestry.slice(1)) {
    if (undecided.size === 0) break;
    const { layer } = await imagesOf(registry).image(id, reader);
    const mentioned = new Map<string, boolean>();
    await visitFiles(layer, ([name, , hidden]) => {
      const key = withoutSlash(name);
      if (undecided.has(key)) mentioned.set(key, hidden);
    });
    for (const [key, hidden] of mentioned) {
      const name = undecided.get(key) as string;
      undecided.delete(key);
      if (hidden) continue;
      changed.set(name, created.get(name) as Facts);
      created.delete(name);
    }
  }
  return Buffer.from(legacyJson({ deleted, changed, created }));
}

function withoutSlash(name: string): string {
  return name.replace(/^\/+/, '');
}

function tooLong() {
  return registryError('IMAGE_INVALID', 'Layer has more files than can be listed');
}
