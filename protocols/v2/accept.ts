import { MANIFEST_TYPES } from '../../storage/manifest.ts';

/** What a client says it can read, from all its Accept lines (RFC 9110 section 12.5.1). */
export class Accept {
  /** No Accept header at all: curl-like tools always send one, docker 1.6-1.9 never does. */
  readonly absent: boolean;
  readonly #types = new Set<string>();
  readonly #wild: boolean;

  constructor(header: string | undefined) {
    this.absent = header === undefined || header.trim() === '';
    for (const item of (header ?? '').split(',')) {
      const [type = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase());
      if (type.includes('/') && !parameters.some(isRefusal)) this.#types.add(type);
    }
    this.#wild = this.#types.has('*/*') || this.#types.has('application/*');
  }

  /** Whether the client names this media type itself. */
  names(mediaType: string): boolean {
    return this.#types.has(mediaType);
  }

  /**
   * Whether the client takes this media type. A client that names no manifest type at all takes what comes: Accept
   * is a hint (OCI distribution-spec "Pulling manifests").
   */
  takes(mediaType: string): boolean {
    return this.#wild || this.names(mediaType) || this.takesAnything;
  }

  get takesAnything(): boolean {
    return (
      this.#wild ||
      this.#types.has('application/json') ||
      !MANIFEST_TYPES.some((type) => this.#types.has(type))
    );
  }
}

function isRefusal(parameter: string): boolean {
  return /^q=0(\.0*)?$/.test(parameter);
}
