import { closeSync, fchownSync, openSync, readFileSync, statSync } from 'node:fs';
import type { Logger } from '../protocols/registry.ts';
import type { LogConfig, WorkersConfig } from './config/process.ts';

/** Who to become: names or numbers. */
type Identity = Pick<WorkersConfig, 'user' | 'group'>;

/** What the type declarations of Node 20 lack. */
interface WithInitgroups {
  initgroups?(user: string | number, extraGroup: string | number): void;
}

/** Whether the serving process is to become another user, and can. */
export function becomesAnother({ user, group }: Identity): boolean {
  return (user !== undefined || group !== undefined) && isRoot();
}

/** Without root the process stays who it is; to be said once. */
export function warnOfUselessUser({ user, group }: Identity, log: Logger): void {
  if ((user !== undefined || group !== undefined) && !isRoot())
    log.warn('only root can become another user; user and group are ignored', { user, group });
}

/** Becomes the configured user and group for good, with that user's groups and none of root's. Nothing without root. */
export function dropPrivileges(workers: Identity): void {
  if (!becomesAnother(workers)) return;
  const { user, group } = workers;
  try {
    // Root's own groups would stay beside the new one.
    const primary = numberOrName(group ?? primaryGroup(user ?? ''));
    if (user !== undefined && isListed(user)) {
      (process as WithInitgroups).initgroups?.(numberOrName(user), primary);
    } else process.setgroups?.([primary]);
    process.setgid?.(primary);
    if (user !== undefined) process.setuid?.(numberOrName(user));
  } catch (error) {
    const who = [user, group].filter((each) => each !== undefined).join(':');
    throw new Error(
      `can't become ${who}: ${(error as Error).message}; create that user, or set GUNICORN_USER to another`,
      {
        cause: error,
      },
    );
  }
}

/**
 * Becomes the owner of `folder` for good, where root looks at what belongs to another user. Gives that user's number;
 * undefined where nothing changed.
 */
export function becomeOwnerOf(folder: string): number | undefined {
  const owner = otherOwner(folder);
  if (owner !== undefined) dropPrivileges({ user: String(owner.uid), group: String(owner.gid) });
  return owner?.uid;
}

/** The user to whom `folder` belongs, when this is root and the folder is not root's. */
export function otherOwner(folder: string): { uid: number; gid: number } | undefined {
  const stats = statSync(folder, { throwIfNoEntry: false });
  return !isRoot() || stats === undefined || stats.uid === 0 ? undefined : stats;
}

/**
 * Makes the log files and gives them to the user that workers become, so that these can open them again after a
 * rotation, as gunicorn does. Does nothing where nobody becomes another; a file that can't be made is for whoever opens
 * it to report.
 */
export function giveLogFiles(workers: Identity, log: LogConfig): void {
  if (!becomesAnother(workers)) return;
  const uid = workers.user === undefined ? 0 : idIn('/etc/passwd', workers.user);
  const gid = idIn('/etc/group', workers.group ?? primaryGroup(workers.user ?? ''));
  if (uid === undefined || gid === undefined) return;
  for (const file of [log.file, log.access.file, log.audit.file ?? '-']) {
    if (file === '-') continue;
    try {
      const descriptor = openSync(file, 'a');
      fchownSync(descriptor, uid, gid);
      closeSync(descriptor);
    } catch {}
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The group that /etc/passwd gives a user; the number of the user where it is not listed. */
function primaryGroup(user: string): string {
  return lineOf('/etc/passwd', user)?.[3] ?? user;
}

function isListed(user: string): boolean {
  return lineOf('/etc/passwd', user) !== undefined;
}

function idIn(file: string, nameOrNumber: string): number | undefined {
  const id = /^\d+$/.test(nameOrNumber) ? nameOrNumber : lineOf(file, nameOrNumber)?.[2];
  return id === undefined ? undefined : Number(id);
}

/** The fields of a user or group, found by name or number. */
function lineOf(file: string, nameOrNumber: string): string[] | undefined {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  return lines.find(([name, , id]) => name === nameOrNumber || id === nameOrNumber);
}

function numberOrName(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text;
}
