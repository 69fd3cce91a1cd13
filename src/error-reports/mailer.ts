import { inspect } from 'node:util';
import type * as Nodemailer from 'nodemailer';
import type { MailConfig } from '../config/services.ts';
import type { Delivery, ErrorReport } from './error-reports.ts';

/** Milliseconds for each step of sending. */
const STEP_MS = 10_000;
/** The port on which TLS is spoken from the first byte (RFC 8314). */
const SUBMISSIONS = 465;

/** Sends reports by mail. Throws when the package for that is not installed. */
export async function openMailer(config: MailConfig): Promise<Delivery> {
  const { createTransport } = await loadMailer();
  const { host, port, login, password, secure, from, to } = config;
  const implicit = secure && port === SUBMISSIONS;
  const transport = createTransport({
    host,
    port,
    secure: implicit,
    // As docker-registry: `smtp_secure` asks for STARTTLS, and without it there is none.
    requireTLS: secure && !implicit,
    ignoreTLS: !secure,
    connectionTimeout: STEP_MS,
    greetingTimeout: STEP_MS,
    socketTimeout: STEP_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(login !== undefined && { auth: { user: login, pass: password ?? '' } }),
  });
  return async (report) => {
    await transport.sendMail({ from, to, subject: subjectOf(report), text: textOf(report) });
  };
}

async function loadMailer(): Promise<typeof Nodemailer> {
  try {
    return await import('nodemailer');
  } catch (cause) {
    throw new Error(
      'the setting email_exceptions needs the package nodemailer, which is not installed: run `npm install nodemailer`, or take the setting out',
      { cause },
    );
  }
}

function subjectOf({ host, event }: ErrorReport): string {
  return `[isthmus] ${host}: ${event}`;
}

function textOf({ version, host, pid, time, event, fields, untold }: ErrorReport): string {
  const lines = [`${time} isthmus ${version} on ${host}, process ${pid}`, '', event];
  for (const [name, value] of Object.entries(fields)) {
    lines.push(`  ${name}: ${typeof value === 'string' ? value : inspect(value)}`);
  }
  if (untold > 0) lines.push('', `${untold} more since the last report; the log has them all.`);
  return `${lines.join('\n')}\n`;
}
