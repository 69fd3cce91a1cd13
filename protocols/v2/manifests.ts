import type { IncomingHttpHeaders } from 'node:http';
import type Router from '@koa/router';
import { algorithmOf, type Digest, digestOf, parseDigest } from '../../storage/digest.ts';
import { type Descriptor, type Manifest, parseManifest } from '../../storage/manifest.ts';
import { DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED } from '../../storage/media-types.ts';
import { isTag, parseTag, type Tag } from '../../storage/names.ts';
import { answerWith, type Incoming } from '../answer.ts';
import { matchesEtag, queryValues, readBody, urlFor } from '../http.ts';
import { type Registry, registryError } from '../registry.ts';
import { Accept } from './accept.ts';
import { requireDeletion } from './blobs.ts';
import { chooseForm, formByDigest } from './forms.ts';
import { onRepository, type RepositoryRequest, report, routeTo } from './request.ts';

/** More tags in one request than any client needs (spec main, end-7b: at least ten must work). */
const MAX_TAGS = 100;

export function manifestRoutes(router: Router, registry: Registry): void {
  router.get('/v2/*name/manifests/:reference', routeTo(registry, pullManifest));
  router.put('/v2/*name/manifests/:reference', routeTo(registry, putManifest));
  router.delete('/v2/*name/manifests/:reference', routeTo(registry, deleteManifest));
}

type Reference = { digest: Digest; tag?: undefined } | { tag: Tag; digest?: undefined };

/** A digest or a tag. Whatever has a colon was meant as a digest. */
function parseReference(text: string): Reference {
  return text.includes(':') ? { digest: parseDigest(text) } : { tag: parseTag(text) };
}

/** The reference of a pull: nothing can be stored under a malformed tag, so that is a plain 404 (end-3). */
function parseWanted(text: string, name: string): Reference {
  if (text.includes(':') || isTag(text)) return parseReference(text);
  const tag = text.slice(0, 200);
  throw registryError('MANIFEST_UNKNOWN', `manifest unknown: ${tag} in ${name} is not a tag`, {
    detail: `unknown tag=${tag}`,
  });
}

/** `GET` and `HEAD /v2/<name>/manifests/<reference>` (end-3, v2.md 1.8). */
export const pullManifest = onRepository(['pull'], async (request) => {
  const { incoming, registry, repository } = request;
  const { headers } = incoming.req;
  const reference = parseWanted(request.reference, repository.name);
  const accept = Accept.of(headers.accept);
  const { tag } = reference;
  const { mirror } = registry.v1;
  if (mirror && tag !== undefined) {
    await mirror.provide(repository.name, tag, registry.access.accounts);
  }
  const stored = await find(request, reference);
  const manifest =
    tag === undefined
      ? await formByDigest(registry, stored, accept)
      : await chooseForm(registry, {
          repository,
          tag,
          stored,
          accept,
          userAgent: headers['user-agent'] ?? '',
        });
  const { mediaType, digest } = manifest.descriptor;
  const facts = ['Docker-Content-Digest', digest, 'Etag', `"${digest}"`];
  if (tag !== undefined) {
    facts.push('Vary', stored.kind === 'index' ? 'Accept, User-Agent' : 'Accept');
  }
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch && matchesEtag(ifNoneMatch, digest)) return { status: 304, headers: facts };
  report(request, 'pull', manifest.descriptor, {
    ...tagOf(reference),
    references: () => referencesOf(manifest),
  });
  facts.push('Content-Type', mediaType);
  return answerWith(200, facts, manifest.bytes);
});

function referencesOf({ config, layers, manifests }: Manifest): Descriptor[] {
  return [...(config ? [config] : []), ...layers, ...manifests];
}

function tagOf(reference: Reference): { tag?: Tag } {
  return reference.tag === undefined ? {} : { tag: reference.tag };
}

async function find(
  { registry, repository }: RepositoryRequest,
  reference: Reference,
): Promise<Manifest> {
  if (reference.digest !== undefined) {
    const manifest = await repository.manifests.get(reference.digest);
    const made = manifest ?? (await registry.content.schema1?.made(repository, reference.digest));
    return made ?? repository.manifests.require(reference.digest);
  }
  const manifest = await repository.resolveTag(reference.tag);
  if (manifest) return manifest;
  const forms = await repository.v1.forms(reference.tag);
  if (forms && 'schema2' in forms) return forms.schema2;
  if (forms) {
    const { tag } = reference;
    throw registryError(
      'MANIFEST_UNKNOWN',
      `manifest unknown: the V1 image that ${tag} names cannot be shown over V2: ${forms.reason}`,
      { detail: `unknown tag=${tag}` },
    );
  }
  throw registryError(
    'MANIFEST_UNKNOWN',
    `manifest unknown: no tag ${reference.tag} in ${repository.name}`,
    {
      detail: `unknown tag=${reference.tag}`,
    },
  );
}

/** `PUT /v2/<name>/manifests/<reference>` (end-7, v2.md 1.9): by tag, or by digest with `?tag=` for more tags. */
export const putManifest = onRepository(['pull', 'push'], async (request) => {
  const { incoming, registry, repository } = request;
  const { headers } = incoming.req;
  const reference = parseReference(request.reference);
  const tags = tagsToSet(incoming, reference);
  const conditional = isConditional(headers);
  const current = conditional ? await checkPreconditions(headers, request, reference) : undefined;
  const bytes = await readBody(incoming.req, registry.limits.manifestBytes);
  const declared = headers['content-type']?.split(';')[0]?.trim().toLowerCase() || undefined;
  const manifest = await readManifest(request, reference, bytes, declared);
  const { digest } = manifest.descriptor;
  if (conditional && reference.tag !== undefined) {
    await repository.putManifest(manifest, []);
    await repository.tags.swap(reference.tag, digest, current);
  } else {
    await repository.putManifest(manifest, tags);
  }
  for (const tag of tags.length > 0 ? tags : [undefined]) {
    report(request, 'push', manifest.descriptor, {
      ...(tag && { tag }),
      references: () => referencesOf(manifest),
    });
  }
  const location = `/v2/${repository.name}/manifests/${digest}`;
  const facts = ['Location', urlFor(incoming.req, registry.urls, location)];
  facts.push('Docker-Content-Digest', digest);
  if (manifest.subject) facts.push('OCI-Subject', manifest.subject.digest);
  if (reference.digest && tags.length > 0) facts.push('OCI-Tag', tags.join(', '));
  return { status: 201, headers: facts, length: 0 };
});

/** Parses what was pushed; schema 1 has its digest from the signed payload, everything else from the bytes. */
async function readManifest(
  { registry, repository }: RepositoryRequest,
  reference: Reference,
  bytes: Buffer,
  declared: string | undefined,
): Promise<Manifest> {
  const { schema1 } = registry.content;
  const algorithm = reference.digest && algorithmOf(reference.digest);
  const isSchema1 = declared === DOCKER_SCHEMA1_SIGNED || declared === DOCKER_SCHEMA1;
  if (!(schema1 && isSchema1)) checkDigest(reference, digestOf(bytes, algorithm));
  if (!isSchema1) return parseManifest(bytes, declared, algorithm);
  if (!schema1) {
    throw registryError(
      'MANIFEST_INVALID',
      'schema 1 manifests are switched off here; push schema 2',
    );
  }
  const manifest = await schema1.receive(repository, bytes);
  checkDigest(reference, manifest.descriptor.digest);
  return manifest;
}

function checkDigest(reference: Reference, actual: Digest): void {
  if (reference.digest === undefined || reference.digest === actual) return;
  throw registryError(
    'DIGEST_INVALID',
    `provided digest did not match uploaded content: the body is ${actual}`,
    { detail: reference.digest },
  );
}

function tagsToSet(incoming: Incoming, reference: Reference): Tag[] {
  if (reference.tag !== undefined) return [reference.tag];
  const tags = queryValues(incoming, 'tag').map(parseTag);
  if (tags.length > MAX_TAGS) {
    throw registryError('TAG_INVALID', `at most ${MAX_TAGS} tags can be set in one request`);
  }
  return [...new Set(tags)];
}

function isConditional(headers: IncomingHttpHeaders): boolean {
  return Boolean(headers['if-match'] || headers['if-none-match']);
}

/**
 * If-Match and If-None-Match on a push compare with what the reference names now (spec main, "Pushing Manifests"),
 * which is given back so that the tag can be swapped for exactly that. Throws PRECONDITION_FAILED.
 */
async function checkPreconditions(
  headers: IncomingHttpHeaders,
  { repository }: RepositoryRequest,
  reference: Reference,
): Promise<Digest | undefined> {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers;
  const current =
    reference.tag !== undefined
      ? await repository.tags.resolve(reference.tag)
      : (await repository.manifests.get(reference.digest))?.descriptor.digest;
  const matched = !ifMatch || (current !== undefined && matchesEtag(ifMatch, current));
  const unwanted = ifNoneMatch && current !== undefined && matchesEtag(ifNoneMatch, current);
  if (matched && !unwanted) return current;
  throw registryError('PRECONDITION_FAILED', `the reference names ${current ?? 'nothing'} now`, {
    detail: current,
  });
}

/** `DELETE /v2/<name>/manifests/<reference>` (end-9): by tag only the tag goes, by digest the manifest and its tags. */
export const deleteManifest = onRepository(['delete'], async (request) => {
  const { registry, repository } = request;
  const reference = parseReference(request.reference);
  requireDeletion(registry);
  if (reference.digest !== undefined) {
    await repository.deleteManifest(reference.digest);
    report(request, 'delete', { digest: reference.digest });
  } else {
    const digest = await repository.tags.resolve(reference.tag);
    if (!(await repository.tags.delete(reference.tag))) await find(request, reference);
    report(request, 'delete', digest ? { digest } : {}, { tag: reference.tag });
  }
  return { status: 202, headers: [], length: 0 };
});
