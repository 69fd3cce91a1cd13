import { readFileSync } from 'node:fs';
import type { Logger } from '../protocols/registry.ts';
import type { WorkersConfig } from './config/process.ts';

/** Becomes the configured user and group, once what needs root is done. Without root it stays, with a warning. */
export function dropPrivileges({ user, group }: WorkersConfig, log: Logger): void {
  if (user === undefined && group === undefined) return;
  if (process.getuid?.() !== 0) {
    log.warn('only root can become another user; user and group are ignored', { user, group });
    return;
  }
  try {
    const becomes = group ?? primaryGroup(user ?? '');
    // Root's own groups would stay beside the new one.
    process.setgroups?.([numberOrName(becomes)]);
    process.setgid?.(numberOrName(becomes));
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

/** The group that /etc/passwd gives a user; the number of the user where it is not listed. */
function primaryGroup(user: string): string {
  const lines = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  return lines.find(([name, , uid]) => name === user || uid === user)?.[3] ?? user;
}

function numberOrName(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text;
}
