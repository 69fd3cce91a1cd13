import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startIsthmus } from '../support/child-server.ts';
import { eventually } from '../support/eventually.ts';
import { request } from '../support/http-client.ts';
import { makeCertificate } from '../support/self-signed.ts';
import { SmtpServer } from '../support/smtp-server.ts';
import { Workspace } from './support/workspace.ts';

describe('mail of an error', { timeout: 60_000 }, () => {
  let work: Workspace;
  before(async () => {
    work = await Workspace.create();
  });
  after(() => work.end());

  it('goes over TLS from the first byte to port 465', async () => {
    const files = makeCertificate(work.path);
    const [key, cert] = [readFileSync(files.key), readFileSync(files.certificate)];
    const mail = work.keep(await SmtpServer.start({ key, cert, implicit: true }, 465));
    const config = join(work.path, 'config.yml');
    const smtp =
      'smtp_host: 127.0.0.1, smtp_port: 465, smtp_secure: true, to_addr: ops@example.test';
    const storage = await work.folder('store');
    const store = `{filesystem: {rootdirectory: "${storage}"}}`;
    await writeFile(config, `dev:\n  storage: ${store}\n  email_exceptions: {${smtp}}\n`);
    const id = '0'.repeat(64);
    const images = await work.folder('store/docker/registry/v1/images');
    await writeFile(join(images, id), '{}');
    const env = { DOCKER_REGISTRY_CONFIG: config, NODE_EXTRA_CA_CERTS: files.certificate };
    const server = work.keep(await startIsthmus({ storage, env }));
    assert.equal((await request(`${server.url}/v1/images/${id}/json`)).status, 500);
    await eventually(() => mail.mails.length > 0, 'the mail');
    assert.equal(mail.mails[0]?.secret, true);
    assert.match(mail.mails[0]?.content ?? '', /request failed/);
  });
});
