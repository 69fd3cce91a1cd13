import { type Digest, isDigest } from '../digest.ts';
import type { Descriptor, Platform } from '../manifest.ts';
import { DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST } from '../media-types.ts';
import { JsonError } from './json-scanner.ts';
import { jsonValue } from './json-value.ts';

/** How `pickManifest` gets at what an index only points to; undefined when it is not stored. */
export interface PlatformLoader {
  /** The body of a nested index. */
  index(digest: Digest): Promise<Buffer | undefined>;
  /** The platform in the config of a manifest whose index entry has none. */
  platform(digest: Digest): Promise<Platform | undefined>;
}

const MAX_NESTING = 4;
const ARCHITECTURES = new Map([
  ['x86_64', 'amd64'],
  ['x86-64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armhf', 'arm/v7'],
  ['armel', 'arm/v6'],
  ['i386', '386'],
  ['i686', '386'],
]);

/** `os/arch[/variant]` in any spelling; undefined for anything else. */
export function parsePlatform(text: string): Platform | undefined {
  const [os, architecture, variant, ...rest] = text.split('/');
  if (!os || !architecture || rest.length > 0) return undefined;
  return normalise({ os, architecture, ...(variant ? { variant } : {}) });
}

/** The platform that docker names in its User-Agent (≤ 1.12 does); undefined for any other agent. */
export function platformOfUserAgent(userAgent: string | undefined): Platform | undefined {
  if (!userAgent?.startsWith('docker/')) return undefined;
  const os = /(?:^| )os\/([\w.-]+)/.exec(userAgent)?.[1];
  const architecture = /(?:^| )arch\/([\w.-]+)/.exec(userAgent)?.[1];
  return os && architecture ? normalise({ os, architecture }) : undefined;
}

/**
 * The image manifest of an index that fits the first possible of the wishes, in the index's order (bridge.md 3.1, rule
 * P); undefined when none fits. Nested indexes are opened in place, four deep.
 */
export async function pickManifest(
  index: Buffer,
  wishes: readonly Platform[],
  loader: PlatformLoader,
): Promise<Descriptor | undefined> {
  const candidates = await collectCandidates(index, loader, 0);
  for (const wish of wishes.map(normalise)) {
    for (const variant of acceptableVariants(wish)) {
      const found = candidates.find(
        ({ platform }) =>
          platform.os === wish.os &&
          platform.architecture === wish.architecture &&
          (platform.variant ?? '') === variant,
      );
      if (found) return found.descriptor;
    }
  }
  return undefined;
}

interface Candidate {
  descriptor: Descriptor;
  platform: Platform;
}

async function collectCandidates(
  index: Buffer,
  loader: PlatformLoader,
  depth: number,
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const descriptor of entriesOf(index)) {
    if (descriptor.artifactType || descriptor.annotations?.['vnd.docker.reference.type']) continue;
    const { mediaType, digest } = descriptor;
    if (mediaType === OCI_INDEX || mediaType === DOCKER_MANIFEST_LIST) {
      const nested = depth < MAX_NESTING ? await loader.index(digest) : undefined;
      if (nested) candidates.push(...(await collectCandidates(nested, loader, depth + 1)));
    } else if (mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST) {
      const named = descriptor.platform ?? (await loader.platform(digest));
      const platform = named && normalise(named);
      if (platform && platform.os !== 'unknown' && platform.architecture !== 'unknown') {
        candidates.push({ descriptor, platform });
      }
    }
  }
  return candidates;
}

/** The entries that have the fields of a descriptor; an index that is none has no entries. */
function entriesOf(index: Buffer): Descriptor[] {
  let parsed: unknown;
  try {
    parsed = jsonValue(index);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return [];
  }
  const { manifests } = (parsed ?? {}) as { manifests?: unknown };
  return Array.isArray(manifests) ? manifests.filter(isDescriptor) : [];
}

function isDescriptor(entry: unknown): entry is Descriptor {
  if (typeof entry !== 'object' || entry === null) return false;
  const { mediaType, digest, platform } = entry as Partial<Record<keyof Descriptor, unknown>>;
  return (
    typeof mediaType === 'string' &&
    typeof digest === 'string' &&
    isDigest(digest) &&
    (platform === undefined || platform === null || isPlatform(platform))
  );
}

function isPlatform(value: unknown): value is Platform {
  if (typeof value !== 'object' || value === null) return false;
  const { os, architecture, variant } = value as Partial<Record<keyof Platform, unknown>>;
  return (
    typeof os === 'string' &&
    typeof architecture === 'string' &&
    (variant === undefined || typeof variant === 'string')
  );
}

/** One spelling for each platform; a variant that every such machine has counts as none. */
function normalise(platform: Platform): Platform {
  const lower = platform.os.toLowerCase();
  const os = lower === 'macos' ? 'darwin' : lower;
  const named = platform.architecture.toLowerCase();
  const [architecture = '', implied] = (ARCHITECTURES.get(named) ?? named).split('/');
  const variant = platform.variant?.toLowerCase() || implied;
  const common = `${architecture}/${variant}`;
  if (!variant || common === 'arm64/v8' || common === 'amd64/v1') return { os, architecture };
  return { os, architecture, variant };
}

/** The variants that a wish can run, best first; '' is none. */
function acceptableVariants({ architecture, variant }: Platform): string[] {
  if (architecture === 'arm' && variant === undefined) return ['', 'v6', 'v5', 'v7'];
  if (variant === undefined) return [''];
  const level = /^v(\d{1,2})$/.exec(variant)?.[1];
  if (level === undefined || (architecture !== 'arm' && architecture !== 'amd64')) {
    return [variant, ''];
  }
  const levels = Array.from({ length: Number(level) }, (_, step) => `v${Number(level) - step}`);
  return [...levels, ''];
}
