import { LRUCache } from 'lru-cache';
import { MANIFEST_TYPES } from '../../storage/manifest.ts';

const MAX_KEPT_LENGTH = 2048;
const parsed = new LRUCache<string, Accept>({ max: 200 });

/** What a client says it can read, from all its Accept lines (RFC 9110 section 12.5.1). */
export class Accept {
  /** No Accept header at all: curl-like tools always send one, docker 1.6-1.9 never does. */
  readonly absent: boolean;
  readonly #types = new Set<string>();
  readonly #refused = new Set<string>();

  /** The same header is taken apart once: a host sends the same one with every pull. */
  static of(header: string | undefined): Accept {
    const key = header ?? '';
    let accept = parsed.get(key);
    if (!accept) {
      accept = new Accept(header);
      if (key.length <= MAX_KEPT_LENGTH) parsed.set(key, accept);
    }
    return accept;
  }

  constructor(header: string | undefined) {
    this.absent = header === undefined || header.trim() === '';
    for (const item of (header ?? '').split(',')) {
      const [type = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
      if (!type.includes('/')) continue;
      (parameters.some(isRefusal) ? this.#refused : this.#types).add(type);
    }
  }

  /** Whether the client names this media type itself. */
  names(mediaType: string): boolean {
    return this.#types.has(mediaType);
  }

  /**
   * Whether the client takes this media type: it names it, or a wildcard, or no manifest type at all, since Accept
   * is a hint (OCI distribution-spec "Pulling manifests"). What it gives a quality of zero it does not take.
   */
  takes(mediaType: string): boolean {
    if (this.names(mediaType)) return true;
    return !this.#refused.has(mediaType) && this.takesAnything;
  }

  /** Whether the client says itself that it takes everything. */
  get wildcard(): boolean {
    return this.#types.has('*/*') || this.#types.has('application/*');
  }

  get takesAnything(): boolean {
    return (
      this.wildcard ||
      this.#types.has('application/json') ||
      !MANIFEST_TYPES.some((type) => this.#types.has(type))
    );
  }
}

function isRefusal(parameter: string): boolean {
  return /^q=0(\.0*)?$/.test(parameter);
}
