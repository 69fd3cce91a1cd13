import type { EventSink, RegistryEvent } from '../protocols/registry.ts';
import type { AuditConfig } from './config/process.ts';
import { LineWriter } from './log-writer.ts';

/** Who pushed, pulled and deleted what: one line of JSON for each. */
export interface AuditLog extends EventSink {
  readonly active: boolean;
  /** Opens the file again under its name (signal USR1). */
  reopen(): void;
  flush(): void;
}

/** The audit log that `config` describes; throws when its file can't be opened. */
export function createAuditLog({ file, pulls }: AuditConfig): AuditLog {
  if (file === undefined) {
    return { active: false, emit: () => {}, reopen: () => {}, flush: () => {} };
  }
  const writer = new LineWriter(file, 1);
  return {
    active: true,
    emit: (event) => {
      if (pulls || event.action !== 'pull') writer.write(auditLine(event));
    },
    reopen: () => writer.reopen(),
    flush: () => writer.flushSync(),
  };
}

/** One line without its end. Undefined fields are left out. */
function auditLine(event: RegistryEvent): string {
  const { action, protocol, repository, fromRepository, tag, target, request, user } = event;
  return JSON.stringify({
    time: new Date().toISOString(),
    event: 'audit',
    action,
    user: user ?? null,
    address: request.address,
    protocol,
    repository,
    fromRepository,
    tag,
    digest: target.digest,
    mediaType: target.mediaType,
    size: target.size,
    imageId: target.imageId,
    requestId: request.id,
    userAgent: request.userAgent,
  });
}
