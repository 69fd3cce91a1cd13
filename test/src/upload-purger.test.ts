import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UploadPurger } from '../../src/upload-purger.ts';
import type { V1ImageId } from '../../storage/names.ts';
import { parseImageJson } from '../../storage/v1-json.ts';
import { ANYONE } from '../../storage/v1-tags.ts';
import { collectingLog } from '../support/collecting-log.ts';
import { eventually } from '../support/eventually.ts';
import { makeV1Chain } from '../support/images.ts';
import { Pusher } from '../support/oci-content.ts';
import { useServer } from '../support/server.ts';

describe('the upload purger', () => {
  const server = useServer();

  it('removes uploads and V1 pushes that were abandoned, and says so', async () => {
    await new Pusher(() => server.url).open('app');
    const [image] = makeV1Chain({ seed: 500, layers: 1 });
    assert.ok(image);
    await server.content.v1.putJson(parseImageJson(image.json, image.id as V1ImageId), ANYONE);
    const log = collectingLog();
    const config = { enabled: true, ageSeconds: -2, intervalSeconds: 3600, dryRun: false };
    const purger = new UploadPurger(server.content, config, log, 10);
    await eventually(() => log.lines.length === 2, 'both lines');
    purger.close();
    assert.deepEqual(
      log.lines.map(({ event, fields }) => [event, fields.count]),
      [
        ['abandoned uploads removed', 1],
        ['interrupted V1 pushes removed', 1],
      ],
    );
    assert.equal(await server.content.pushes.inProgress(image.id as V1ImageId, ''), false);
  });

  it('does nothing when it is switched off', async () => {
    await new Pusher(() => server.url).open('app');
    const log = collectingLog();
    const config = { enabled: false, ageSeconds: -2, intervalSeconds: 1, dryRun: false };
    new UploadPurger(server.content, config, log, 1);
    await new Promise((done) => setTimeout(done, 50));
    assert.deepEqual(log.lines, []);
  });
});
