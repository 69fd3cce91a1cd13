import type { ContentStore } from '../storage/content-store.ts';
import {
  RegistryError,
  type RegistryErrorOptions,
  type StorageErrorCode,
} from '../storage/errors.ts';
import type { Descriptor } from '../storage/manifest.ts';
import type { RepositoryName, Tag } from '../storage/names.ts';
import type { V1Images, V1Repository } from '../storage/v1-store.ts';
import type { AccelRedirect } from './accel-redirect.ts';

/** What only HTTP can refuse, beside the codes of storage (OCI distribution-spec "Error codes", v2.md 1.3). */
export type ProtocolErrorCode =
  | 'DENIED'
  | 'PAGINATION_NUMBER_INVALID'
  | 'REQUEST_INVALID'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_FOUND'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNAVAILABLE'
  | 'UNKNOWN'
  | 'UNSUPPORTED';

export type ErrorCode = StorageErrorCode | ProtocolErrorCode;

/** A RegistryError with a code that either layer may produce. */
export function registryError(
  code: ErrorCode,
  message: string,
  options?: RegistryErrorOptions,
): RegistryError<ErrorCode> {
  return new RegistryError(code, message, options);
}

export type Action = 'pull' | 'push' | 'delete';

/** One thing a request wants to do: an action on a repository, or a look at the catalog. */
export type Access = { type: 'repository'; name: string; action: Action } | { type: 'catalog' };

/** What an access decision may look at. */
export interface AccessRequest {
  protocol: 'v1' | 'v2';
  method: string;
  /** The Authorization header as sent. */
  authorization: string | undefined;
  /** Address of the client, as far as trusted proxies tell it. */
  address: string;
  /** `https` or `http`, and the host that the client used. */
  origin: { scheme: string; host: string };
}

/** Who is asking, once credentials were accepted. */
export interface Session {
  /** Undefined for an anonymous client. */
  user: string | undefined;
  /** Whether this session may do this; for listings that show only what the session may see. */
  may(access: Access): boolean;
  /** For a V1 session token: the only repository it speaks for. */
  repository?: string;
  /** The only V1 images that it may bring, where an outside index has said which belong to the repository. */
  images?: ReadonlySet<string>;
}

/** Decides who may do what. Implemented in src/auth. */
export interface AccessControl {
  /**
   * The session of this request, which may do everything in `wanted`. Where that is the catalog, the session is for
   * listing only: `may` with `pull` then says whether a name may be shown.
   * Throws UNAUTHORIZED (credentials missing or wrong; `ChallengeError` carries the headers) or DENIED.
   * Answers synchronously where it can: it stands in front of every request.
   */
  authorize(request: AccessRequest, wanted: readonly Access[]): Session | Promise<Session>;
  /**
   * A V1 token for the rest of a push or pull (v1.md 2.2), signed and bound to repository and access; undefined where
   * nobody would check it.
   */
  issueV1Token?(
    session: Session,
    repository: string,
    action: 'read' | 'write' | 'delete',
  ): string | undefined;
  /** Whether accounts exist: V1 login answers differ (v1.md 2.5). */
  readonly accounts: boolean;
}

/** An error whose answer carries headers of its own. */
export class RefusalError<Code extends ErrorCode = ErrorCode> extends RegistryError<Code> {
  readonly headers: Record<string, string>;

  constructor(code: Code, message: string, headers: Record<string, string>, detail?: unknown) {
    super(code, message, { detail });
    this.headers = headers;
  }
}

/** The headers, names and values in turn, that `renderError` of each protocol puts on the answer to this error. */
export function refusalHeaders(error: RegistryError): string[] {
  return error instanceof RefusalError ? Object.entries(error.headers).flat() : [];
}

/** UNAUTHORIZED with the headers that tell the client how to log in. */
export class ChallengeError extends RefusalError<'UNAUTHORIZED'> {
  constructor(message: string, headers: Record<string, string>, detail?: unknown) {
    super('UNAUTHORIZED', message, headers, detail);
  }
}

/** TOOMANYREQUESTS that says after how many seconds another attempt makes sense. */
export function tooManyRequests(message: string, seconds: number): RefusalError {
  return new RefusalError('TOOMANYREQUESTS', message, { 'Retry-After': String(seconds) });
}

/** Something that happened to content, for notifications and audit (v2.md 5.4). */
export interface RegistryEvent {
  action: 'push' | 'pull' | 'mount' | 'delete';
  protocol: 'v1' | 'v2';
  repository: string;
  fromRepository?: string;
  tag?: string;
  /** What was touched; only the digest is known for a delete. */
  target: Partial<Descriptor> & { imageId?: string };
  /** What a manifest refers to; a function, since few sinks want it. */
  references?: () => readonly Descriptor[];
  request: {
    id: string;
    address: string;
    /** `https` or `http`, as the client used it; undefined where nobody looked. */
    scheme?: string;
    host: string;
    method: string;
    userAgent: string;
  };
  user: string | undefined;
}

export interface EventSink {
  emit(event: RegistryEvent): void;
  /** False when nobody listens: whoever emits may then save the work of making events. */
  readonly active?: boolean;
  /**
   * Resolves when everything that was emitted so far survives the end of this process; undefined when it does
   * already. Writes are answered after that.
   */
  stored?(): Promise<void> | undefined;
}

/** Structured logging: an event name and its fields, one line each. */
export interface Logger {
  debug(event: string, fields?: Record<string, unknown>): void;
  info(event: string, fields?: Record<string, unknown>): void;
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
}

/** Bounds on what a request may carry, in bytes or counts. */
export interface Limits {
  manifestBytes: number;
  /** JSON bodies of V1: image JSON, image lists, tags. */
  jsonBytes: number;
  catalogPage: number;
  tagsPage: number;
  /** A V1 layer as sent; undefined for no bound. */
  layerBytes?: number;
}

/** How URLs in answers are built (v2.md 1.2). */
export interface UrlPolicy {
  /** Absolute base that always wins, such as `https://registry.example`. */
  host: string | undefined;
  /** Path prefix under which everything lives, with leading and without trailing slash; '' for none. */
  prefix: string;
  relative: boolean;
}

/** V1 content that comes from an upstream registry where it is missing here (v1.md 5). Implemented in src/mirror. */
export interface V1Mirror {
  readonly images: V1Images;
  /** The same repository, with what upstream has of it. */
  repository(own: V1Repository): V1Repository;
  /**
   * Brings what upstream has under a tag, and tags it here, unless the tag was written here: V2 clients then find it.
   * `restricted`: images are readable through their repositories only. Throws UNAVAILABLE.
   */
  provide(name: RepositoryName, tag: Tag, restricted: boolean): Promise<void>;
  /** The tags that upstream has; none while it is down. */
  tags(name: RepositoryName): Promise<readonly Tag[]>;
  /** What upstream's search finds, or nothing while upstream is down. */
  search(term: string): Promise<readonly { name: string; description: string }[]>;
}

/** What docker-registry told its extensions (v1.md 5). */
export const V1_SIGNALS = [
  'tag_created',
  'tag_deleted',
  'repository_created',
  'repository_updated',
  'repository_deleted',
] as const;

export type V1Signal = (typeof V1_SIGNALS)[number];

export interface V1SignalEvent {
  namespace: string;
  repository: string;
  tag?: string;
  /** The image ID of a tag, or the image list of a repository. */
  value?: unknown;
}

/** Code of the operator that V1's writes run through. Implemented in src/hooks.ts. */
export interface V1Hooks {
  /** Tells a listener, inside the request. Never rejects. */
  signal(name: V1Signal, event: V1SignalEvent): Promise<void>;
  /** Why an image may not be pushed; undefined when it may. */
  objection(imageJson: unknown): Promise<string | undefined>;
}

/** What the V1 protocol can be told apart from content and limits (v1.md 4.3). */
export interface V1Options {
  /** Value of `X-Docker-Endpoints`; undefined means the Host header. */
  endpoints: string | undefined;
  standalone: boolean;
  /** What `GET /` says, as docker-registry's `issue`. */
  issue?: string;
  /** Name of the configuration's flavor, for `X-Docker-Registry-Config`; undefined leaves the header out. */
  flavor?: string;
  hooks?: V1Hooks;
  /** Where images come from that are missing here; `_ping` says that there is one. */
  mirror?: V1Mirror;
  /** False takes search away, as docker-registry without a `search_backend`. */
  search?: boolean;
}

/** What the V2 protocol can be told apart from content and limits. */
export interface V2Options {
  /** False shows `/v2/` also to engines up to 1.5, whose draft of V2 cannot push (v1-clients.md). Default true. */
  hideFromOldEngines?: boolean;
}

/** Everything a protocol is given. */
export interface Registry {
  content: ContentStore;
  access: AccessControl;
  events: EventSink;
  limits: Limits;
  urls: UrlPolicy;
  log: Logger;
  /** Refuses every write. */
  readOnly: boolean;
  /** Whether manifests, tags and blobs may be deleted. */
  deletion: boolean;
  /** Where a web server in front sends the files of blobs itself. */
  accelRedirect?: AccelRedirect;
  v1: V1Options;
  v2?: V2Options;
}
