import { randomUUID } from 'node:crypto';
import type { RegistryEvent, UrlPolicy } from '../../protocols/registry.ts';

/** Content type of what endpoints receive (v2.md 5.4). */
export const EVENTS_MEDIA_TYPE = 'application/vnd.docker.distribution.events.v2+json';

/** One event as distribution writes it (v2.md 5.4). */
export interface EnvelopeEvent {
  id: string;
  /** RFC 3339. */
  timestamp: string;
  action: RegistryEvent['action'];
  target: EventTarget;
  request: { id: string; addr: string; host: string; method: string; useragent: string };
  actor: { name?: string };
  source: EventSource;
}

export interface EventTarget {
  /** Empty where only the digest is known. */
  mediaType: string;
  digest?: string;
  size: number;
  length?: number;
  repository: string;
  fromRepository?: string;
  url?: string;
  tag?: string;
  references?: readonly unknown[];
  /** Ours: the V1 image that was touched. */
  imageId?: string;
}

/** Which node and process an event comes from. */
export interface EventSource {
  addr: string;
  instanceID: string;
}

export interface EnvelopeOptions {
  urls: UrlPolicy;
  includeReferences: boolean;
  source: EventSource;
}

/** `event` in distribution's form. */
export function toEnvelopeEvent(
  event: RegistryEvent,
  options: EnvelopeOptions,
  now = new Date(),
): EnvelopeEvent {
  const { id, address, host, method, userAgent } = event.request;
  return {
    id: randomUUID(),
    timestamp: now.toISOString(),
    action: event.action,
    target: targetOf(event, options),
    request: { id, addr: address, host, method, useragent: userAgent },
    actor: event.user === undefined ? {} : { name: event.user },
    source: options.source,
  };
}

/** The body of a request to an endpoint, from events that are JSON already. */
export function envelopeOf(events: readonly string[]): string {
  return `{"events":[${events.join(',')}]}`;
}

function targetOf(event: RegistryEvent, options: EnvelopeOptions): EventTarget {
  const { mediaType = '', digest, size = 0, imageId } = event.target;
  const url = event.action === 'delete' ? undefined : urlOf(event, options.urls);
  return {
    mediaType,
    ...(digest !== undefined && { digest }),
    size,
    ...(size > 0 && { length: size }),
    repository: event.repository,
    ...(event.fromRepository !== undefined && { fromRepository: event.fromRepository }),
    ...(url !== undefined && { url }),
    ...(event.tag !== undefined && { tag: event.tag }),
    ...(options.includeReferences && event.references && { references: event.references() }),
    ...(imageId !== undefined && { imageId }),
  };
}

function urlOf(event: RegistryEvent, urls: UrlPolicy): string | undefined {
  const { scheme = 'http', host } = event.request;
  const path = pathOf(event);
  if (path === undefined) return undefined;
  if (urls.host !== undefined) return `${urls.host}${path}`;
  return host === '' ? undefined : `${scheme}://${host}${urls.prefix}${path}`;
}

/** Media types of manifests and indexes; what is none of them lies among the blobs. */
const MANIFEST_TYPE = /[.+](manifest|index)\b/;

function pathOf({ repository, target }: RegistryEvent): string | undefined {
  const { digest, mediaType, imageId } = target;
  if (digest !== undefined) {
    const kind = MANIFEST_TYPE.test(mediaType ?? '') ? 'manifests' : 'blobs';
    return `/v2/${repository}/${kind}/${digest}`;
  }
  return imageId === undefined ? undefined : `/v1/images/${imageId}/json`;
}
