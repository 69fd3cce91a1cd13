import type { Readable } from 'node:stream';
import type * as Sdk from '@aws-sdk/client-s3';
import type { ByteRange } from '../../driver.ts';
import { ConditionFailedError, PathNotFoundError } from '../../errors.ts';
import { loadSdk } from './load-sdk.ts';
import { unusable } from './s3-errors.ts';

export interface S3Options {
  bucket: string;
  region?: string | undefined;
  /** URL of a service that is not Amazon's. */
  endpoint?: string | undefined;
  /** Prefix of every key. */
  root: string;
  /** Both undefined: the credentials of the environment, in the order of Amazon's own tools. */
  accessKey?: string | undefined;
  secretKey?: string | undefined;
  /** Whether objects are encrypted by the service: with its own key, or the one of KMS that `keyId` names. */
  encrypt?: boolean;
  keyId?: string | undefined;
  /** Whether the bucket is named in the path instead of the host. */
  forcePathStyle?: boolean;
  /** Takes any certificate of the service. */
  skipVerify?: boolean;
  /** Bytes that are gathered before they are sent; at least 5 MiB. */
  chunkBytes: number;
  /** `NONE` sends none. */
  storageClass?: string;
  /** Whether clients may be sent to the service for layers. */
  redirect?: boolean;
}

/** An object as its headers tell. */
export interface S3Object {
  /** Bytes. */
  size: number;
  /** Milliseconds since the epoch. */
  modified: number;
  etag: string;
  /** The mark of an object that more content follows; see `s3-appended.ts`. */
  more: string | undefined;
}

export interface S3Content {
  body: Readable;
  object: S3Object;
}

/** What a put may ask of the object that is there. */
export type S3Condition = { ifNoneMatch: '*' } | { ifMatch: string };

/** A source of a copy: an object, or bytes of it. */
export interface S3Piece {
  path: string;
  range?: ByteRange;
}

/** How long a signed URL leads to its object, in seconds; as long as distribution's. */
const SIGNED_SECONDS = 20 * 60;
/** Connections to the service at a time: each pull that is not redirected holds one. */
const MAX_SOCKETS = 256;
/** Parts of one object that are copied at a time. */
const COPIES_AT_ONCE = 8;
/** Keys that one request can delete. */
const DELETED_AT_ONCE = 1000;

/** A bucket of S3 or of a service that speaks its protocol, by the paths of the store. */
export class S3Bucket {
  readonly #options: S3Options;
  readonly #prefix: string;
  #opening: Promise<{ sdk: typeof Sdk; client: Sdk.S3Client }> | undefined;

  constructor(options: S3Options) {
    this.#options = options;
    const root = options.root.replace(/^\/+|\/+$/g, '');
    this.#prefix = root === '' ? '' : `${root}/`;
  }

  /** Throws an Error that says what to change when the bucket can't be used. */
  async check(): Promise<void> {
    const { sdk, client } = await this.#open();
    const { bucket, endpoint = 'Amazon S3' } = this.#options;
    try {
      await client.send(new sdk.HeadBucketCommand({ Bucket: bucket }));
    } catch (error) {
      const { name, message } = error as Error;
      const why =
        name === 'NotFound' ? 'it is not there' : [name, message].filter(Boolean).join(': ');
      throw new Error(`the bucket ${bucket} of ${endpoint} can't be used: ${why}`, {
        cause: error,
      });
    }
  }

  /** The content of an object. Throws PathNotFoundError. */
  async get(path: string): Promise<S3Content> {
    const { sdk, client } = await this.#open();
    const command = new sdk.GetObjectCommand(this.#at(path));
    return toContent(await this.#ask(path, () => client.send(command)));
  }

  /** Bytes of an object; undefined when it ends before the first of them. Throws PathNotFoundError. */
  async getRange(path: string, { start, end }: ByteRange): Promise<S3Content | undefined> {
    const { sdk, client } = await this.#open();
    const command = new sdk.GetObjectCommand({ ...this.#at(path), Range: `bytes=${start}-${end}` });
    const found = await this.#ask(path, () => client.send(command).catch(noneWhenBehind));
    return found && toContent(found);
  }

  /** Throws PathNotFoundError. */
  async head(path: string): Promise<S3Object> {
    const { sdk, client } = await this.#open();
    const command = new sdk.HeadObjectCommand(this.#at(path));
    return toObject(await this.#ask(path, () => client.send(command)));
  }

  /** Stores an object. Throws ConditionFailedError. */
  async put(
    path: string,
    content: Uint8Array | string,
    options: { condition?: S3Condition | undefined; more?: string | undefined } = {},
  ): Promise<void> {
    const { sdk, client } = await this.#open();
    const { condition, more } = options;
    const body = typeof content === 'string' ? Buffer.from(content) : content;
    const command = new sdk.PutObjectCommand({
      ...this.#at(path),
      ...this.#kept(),
      ...markOf(more),
      Body: body,
      ContentLength: body.length,
      ...(condition && 'ifNoneMatch' in condition && { IfNoneMatch: condition.ifNoneMatch }),
      ...(condition && 'ifMatch' in condition && { IfMatch: condition.ifMatch }),
    });
    try {
      await this.#ask(path, () => client.send(command));
    } catch (error) {
      if (condition && error instanceof PathNotFoundError) throw new ConditionFailedError(path);
      throw error;
    }
  }

  /** Makes an object of one that is stored, without its mark, or with a new one. */
  async copy(from: string, to: string, more?: string): Promise<void> {
    const { sdk, client } = await this.#open();
    const command = new sdk.CopyObjectCommand({
      ...this.#at(to),
      ...this.#kept(),
      ...markOf(more),
      MetadataDirective: 'REPLACE',
      CopySource: this.#source(from),
    });
    await this.#ask(from, () => client.send(command));
  }

  /** Makes one object of several pieces, in their order; all but the last have at least 5 MiB. */
  async join(pieces: readonly S3Piece[], to: string): Promise<void> {
    const { sdk, client } = await this.#open();
    const target = this.#at(to);
    const begin = new sdk.CreateMultipartUploadCommand({ ...target, ...this.#kept() });
    const { UploadId } = await this.#ask(to, () => client.send(begin));
    const parts: Sdk.CompletedPart[] = [];
    try {
      for (let at = 0; at < pieces.length; at += COPIES_AT_ONCE) {
        const some = pieces.slice(at, at + COPIES_AT_ONCE);
        const copied = await Promise.all(
          some.map(async ({ path, range }, index) => {
            const PartNumber = at + index + 1;
            const command = new sdk.UploadPartCopyCommand({
              ...target,
              UploadId,
              PartNumber,
              CopySource: this.#source(path),
              ...(range && { CopySourceRange: `bytes=${range.start}-${range.end}` }),
            });
            const { CopyPartResult } = await this.#ask(path, () => client.send(command));
            return { PartNumber, ETag: CopyPartResult?.ETag };
          }),
        );
        parts.push(...copied);
      }
      const MultipartUpload = { Parts: parts };
      const end = new sdk.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload });
      await this.#ask(to, () => client.send(end));
    } catch (error) {
      const abort = new sdk.AbortMultipartUploadCommand({ ...target, UploadId });
      await client.send(abort).catch(() => undefined);
      throw error;
    }
  }

  /** Names of the children of a path, or of all below it, in pages and no order; a directory counts as one child. */
  async *list(path: string, options: { deep?: boolean } = {}): AsyncIterable<S3Entry> {
    const { sdk, client } = await this.#open();
    const prefix = path === '/' ? this.#prefix : `${this.#key(path)}/`;
    let token: string | undefined;
    do {
      const command = new sdk.ListObjectsV2Command({
        Bucket: this.#options.bucket,
        Prefix: prefix,
        ...(!options.deep && { Delimiter: '/' }),
        ContinuationToken: token,
      });
      const page = await this.#ask(path, () => client.send(command));
      for (const { Prefix = '' } of page.CommonPrefixes ?? []) {
        yield { name: Prefix.slice(prefix.length, -1), size: 0 };
      }
      for (const { Key = '', Size = 0 } of page.Contents ?? []) {
        // Some tools make empty objects to show directories.
        if (Key.length > prefix.length) yield { name: Key.slice(prefix.length), size: Size };
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  /** Whether anything lies below a path. */
  async hasChildren(path: string): Promise<boolean> {
    const { sdk, client } = await this.#open();
    const command = new sdk.ListObjectsV2Command({
      Bucket: this.#options.bucket,
      Prefix: path === '/' ? this.#prefix : `${this.#key(path)}/`,
      MaxKeys: 1,
    });
    const page = await this.#ask(path, () => client.send(command));
    return (page.Contents ?? []).length > 0;
  }

  /** Removes objects; those that are not there are no error. */
  async delete(paths: readonly string[]): Promise<void> {
    const { sdk, client } = await this.#open();
    for (let at = 0; at < paths.length; at += DELETED_AT_ONCE) {
      const some = paths.slice(at, at + DELETED_AT_ONCE);
      const [only] = some;
      if (some.length === 1 && only !== undefined) {
        const one = new sdk.DeleteObjectCommand(this.#at(only));
        await this.#ask(only, () => client.send(one)).catch(ignoreMissing);
        continue;
      }
      const command = new sdk.DeleteObjectsCommand({
        Bucket: this.#options.bucket,
        Delete: { Objects: some.map((path) => ({ Key: this.#key(path) })), Quiet: true },
      });
      const { Errors } = await this.#ask(some[0] ?? '/', () => client.send(command));
      const [failed] = Errors ?? [];
      if (failed) throw unusable(Object.assign(new Error(failed.Message), { name: failed.Code }));
    }
  }

  /** A URL that leads to an object for twenty minutes, for whoever holds it. */
  async signedUrl(path: string, method: string): Promise<URL> {
    const { sdk, client } = await this.#open();
    const { getSignedUrl } = await loadSdk(() => import('@aws-sdk/s3-request-presigner'));
    const command =
      method === 'HEAD'
        ? new sdk.HeadObjectCommand(this.#at(path))
        : new sdk.GetObjectCommand(this.#at(path));
    return new URL(await getSignedUrl(client, command, { expiresIn: SIGNED_SECONDS }));
  }

  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined);
    opened?.client.destroy();
  }

  #open() {
    this.#opening ??= this.#connect();
    return this.#opening;
  }

  async #connect() {
    const { region, endpoint, accessKey, secretKey, forcePathStyle, skipVerify } = this.#options;
    const sdk = await loadSdk(() => import('@aws-sdk/client-s3'));
    const credentials =
      accessKey !== undefined && secretKey !== undefined
        ? { accessKeyId: accessKey, secretAccessKey: secretKey }
        : undefined;
    const client = new sdk.S3Client({
      // Other services than Amazon's take any region.
      ...(region !== undefined ? { region } : endpoint !== undefined && { region: 'us-east-1' }),
      ...(endpoint !== undefined && { endpoint }),
      ...(credentials && { credentials }),
      forcePathStyle: forcePathStyle ?? false,
      // Other services than Amazon's know no checksums beside the one of the signature.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        httpAgent: { maxSockets: MAX_SOCKETS },
        httpsAgent: { maxSockets: MAX_SOCKETS, rejectUnauthorized: skipVerify !== true },
      },
    });
    return { sdk, client };
  }

  #key(path: string): string {
    return `${this.#prefix}${path.slice(1)}`;
  }

  #at(path: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#key(path) };
  }

  #source(path: string): string {
    return `${this.#options.bucket}/${encodeURIComponent(this.#key(path)).replaceAll('%2F', '/')}`;
  }

  /** How objects are kept. */
  #kept() {
    const { storageClass = 'NONE', encrypt, keyId } = this.#options;
    return {
      ContentType: 'application/octet-stream',
      ...(storageClass !== 'NONE' && { StorageClass: storageClass as Sdk.StorageClass }),
      ...(encrypt &&
        (keyId === undefined
          ? { ServerSideEncryption: 'AES256' as const }
          : { ServerSideEncryption: 'aws:kms' as const, SSEKMSKeyId: keyId })),
    };
  }

  async #ask<T>(path: string, send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      const { name } = error as Error;
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata
        ?.httpStatusCode;
      if (
        name === 'NoSuchKey' ||
        name === 'NotFound' ||
        (status === 404 && name !== 'NoSuchBucket')
      )
        throw new PathNotFoundError(path, error);
      if (status === 412 || name === 'ConditionalRequestConflict') {
        throw new ConditionFailedError(path);
      }
      throw unusable(error, this.#options.bucket);
    }
  }
}

/** What lies below a path. */
export interface S3Entry {
  name: string;
  /** Bytes; 0 for a directory. */
  size: number;
}

function markOf(more: string | undefined) {
  return more === undefined ? {} : { Metadata: { [MORE]: more } };
}

/** The name of the mark among an object's metadata. */
const MORE = 'isthmus-more';

function toObject(found: Sdk.HeadObjectCommandOutput | Sdk.GetObjectCommandOutput): S3Object {
  return {
    size: found.ContentLength ?? 0,
    modified: found.LastModified?.getTime() ?? 0,
    etag: found.ETag ?? '',
    more: found.Metadata?.[MORE],
  };
}

function toContent(found: Sdk.GetObjectCommandOutput): S3Content {
  return { body: found.Body as Readable, object: toObject(found) };
}

function noneWhenBehind(error: Error): undefined {
  if (error.name !== 'InvalidRange') throw error;
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof PathNotFoundError)) throw error;
}
