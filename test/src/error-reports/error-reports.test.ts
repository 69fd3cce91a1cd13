import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { type ErrorReport, ErrorReports } from '../../../src/error-reports/error-reports.ts';
import { openMailer } from '../../../src/error-reports/mailer.ts';
import { postTo } from '../../../src/error-reports/post.ts';
import { openService } from '../../../src/service.ts';
import { serve } from '../../support/app-server.ts';
import { collectingLog } from '../../support/collecting-log.ts';
import { flavor } from '../../support/config.ts';
import { eventually } from '../../support/eventually.ts';
import { freePort } from '../../support/free-port.ts';
import { request } from '../../support/http-client.ts';
import { makeCertificate } from '../../support/self-signed.ts';
import { SmtpServer } from '../../support/smtp-server.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const MAIL = {
  host: '127.0.0.1',
  login: undefined,
  password: undefined,
  secure: false,
  from: 'registry@example.test',
  to: 'ops@example.test',
};

const REPORT: ErrorReport = {
  service: 'isthmus',
  version: '1',
  host: 'h',
  pid: 1,
  time: '2026-01-01T00:00:00Z',
  event: 'failed',
  fields: {},
  untold: 0,
};

/** Mails a report from a process that trusts this CA besides: Node reads that at its start only. */
async function mailFrom(settings: object, ca: string): Promise<void> {
  const mailer = new URL('../../../src/error-reports/mailer.js', import.meta.url);
  const script = `import { openMailer } from '${mailer}';
    const deliver = await openMailer(${JSON.stringify(settings)});
    await deliver(${JSON.stringify(REPORT)});`;
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env });
}

async function mailServer(context: TestContext): Promise<SmtpServer> {
  const server = await SmtpServer.start();
  context.after(() => server.stop());
  return server;
}

async function webhook(context: TestContext, status = 200) {
  const reports: ErrorReport[] = [];
  const server = await serve((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      reports.push(JSON.parse(Buffer.concat(chunks).toString()) as ErrorReport);
      response.writeHead(status).end();
    });
  });
  context.after(() => server.stop());
  return { reports, url: `${server.url}/hook` };
}

/** A registry of these settings whose image `0…0` lies damaged in the store: asking for it is a bug of ours. */
async function brokenRegistry(context: TestContext, settings: string) {
  const root = temporaryDirectory(context);
  const id = '0'.repeat(64);
  const images = join(root, 'docker/registry/v1/images');
  mkdirSync(images, { recursive: true });
  writeFileSync(join(images, id), '{}');
  const log = collectingLog();
  const { config } = flavor(`storage: {filesystem: {rootdirectory: "${root}"}}\n${settings}`);
  const service = await openService(config, log);
  const server = await serve(service.handler);
  context.after(async () => {
    await server.stop();
    await service.close();
  });
  return { log, ask: () => request(`${server.url}/v1/images/${id}/json`) };
}

describe('an error of our own', () => {
  it('is mailed and posted, once for many', async (context) => {
    const mail = await mailServer(context);
    const { reports, url } = await webhook(context);
    const { ask, log } = await brokenRegistry(
      context,
      `email_exceptions: {smtp_host: 127.0.0.1, smtp_port: ${mail.port}, from_addr: registry@example.test, to_addr: ops@example.test, smtp_login: me, smtp_password: pw}
exceptions: {webhook: "${url}"}`,
    );
    for (let n = 0; n < 5; n += 1) assert.equal((await ask()).status, 500);
    await eventually(() => mail.mails.length > 0 && reports.length > 0, 'the reports');
    const [first] = mail.mails;
    assert.equal(first?.from, 'registry@example.test');
    assert.deepEqual(first?.to, ['ops@example.test']);
    assert.equal(first?.login, '\0me\0pw');
    assert.match(first?.content ?? '', /^Subject: \[isthmus\] .*request failed/m);
    assert.match(first?.content ?? '', /SyntaxError/);
    assert.equal(reports[0]?.event, 'request failed');
    assert.match(String(reports[0]?.fields.path), /^\/v1\/images\/0+\/json$/);
    assert.equal(log.lines.filter(({ level }) => level === 'error').length, 5);
    assert.equal(mail.mails.length, 1);
    assert.equal(reports.length, 1);
  });

  it('fails and delays no request, whatever the mail server and the webhook do', async (context) => {
    const mail = await mailServer(context);
    mail.mute = true;
    const { ask, log } = await brokenRegistry(
      context,
      `email_exceptions: {smtp_host: 127.0.0.1, smtp_port: ${mail.port}}
exceptions: {webhook: "http://127.0.0.1:${await freePort()}/"}`,
    );
    const begun = Date.now();
    for (let n = 0; n < 3; n += 1) assert.equal((await ask()).status, 500);
    assert.ok(Date.now() - begun < 1000);
    const line = await eventually(
      () => log.lines.find(({ event }) => event === 'error not reported'),
      'the warning',
    );
    assert.equal(line.level, 'warn');
  });

  it('is told of only when it is one: refusals are no errors', async (context) => {
    const { reports, url } = await webhook(context);
    const root = temporaryDirectory(context);
    const { config } = flavor(
      `storage: {filesystem: {rootdirectory: "${root}"}}\nexceptions: {webhook: "${url}"}`,
    );
    const service = await openService(config, collectingLog());
    const server = await serve(service.handler);
    for (const path of ['/v2/none/manifests/x', '/v1/images/x/json', '/v3', '/v2/%ff/tags/list']) {
      assert.ok((await request(server.url + path)).status < 500);
    }
    await server.stop();
    await service.close();
    assert.deepEqual(reports, []);
  });
});

describe('reports', () => {
  it('come again after the pause, with the last error and the number of all', async (context) => {
    const { reports, url } = await webhook(context);
    const errors = new ErrorReports([postTo(url)], collectingLog(), 150);
    for (let n = 1; n <= 4; n += 1) errors.report('failed', { n, error: new Error(`number ${n}`) });
    await eventually(() => reports.length === 2, 'the second report');
    assert.deepEqual(
      reports.map(({ fields, untold }) => [fields.n, untold]),
      [
        [1, 0],
        [4, 2],
      ],
    );
    assert.match(String(reports[1]?.fields.error), /^Error: number 4\n +at /);
    await new Promise((done) => setTimeout(done, 200));
    errors.report('failed', { n: 5 });
    await eventually(() => reports.length === 3, 'the third report');
    assert.equal(reports[2]?.untold, 0);
    await errors.close();
  });

  it('that are refused are logged, and not reported themselves', async (context) => {
    const { reports, url } = await webhook(context, 500);
    const log = collectingLog();
    const errors = new ErrorReports([postTo(url)], log, 50);
    errors.report('failed');
    await eventually(() => log.lines.length > 0, 'the warning');
    await new Promise((done) => setTimeout(done, 150));
    assert.equal(reports.length, 1);
    assert.deepEqual(
      log.lines.map(({ level }) => level),
      ['warn'],
    );
    await errors.close();
  });

  it('are mailed after STARTTLS where the server proves who it is, and nowhere else', async (context) => {
    const files = makeCertificate(temporaryDirectory(context));
    const [key, cert] = [readFileSync(files.key), readFileSync(files.certificate)];
    const mail = await SmtpServer.start({ key, cert });
    context.after(() => mail.stop());
    const settings = { ...MAIL, port: mail.port, secure: true, login: 'me', password: 'pw' };
    const deliver = await openMailer(settings);
    await assert.rejects(deliver(REPORT), /self-signed certificate/);
    assert.deepEqual(mail.mails, []);
    await mailFrom(settings, files.certificate);
    assert.deepEqual(
      mail.mails.map(({ secret, login, to }) => ({ secret, login, to })),
      [{ secret: true, login: '\0me\0pw', to: ['ops@example.test'] }],
    );
  });

  it('are not mailed in the clear where TLS is demanded', async (context) => {
    const mail = await mailServer(context);
    const deliver = await openMailer({ ...MAIL, port: mail.port, secure: true });
    const log = collectingLog();
    const errors = new ErrorReports([deliver], log);
    errors.report('failed');
    await eventually(() => log.lines.length > 0, 'the warning');
    assert.match(String(log.lines[0]?.fields.reason), /STARTTLS/i);
    assert.deepEqual(mail.mails, []);
    await errors.close();
  });
});
