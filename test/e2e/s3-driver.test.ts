import { S3Driver } from '../../storage/drivers/s3/s3-driver.ts';
import { describeDriver } from '../support/driver-suite.ts';
import { Versitygw } from './support/versitygw.ts';
import { Workspace } from './support/workspace.ts';

describeDriver('s3, over versitygw', async () => {
  const workspace = await Workspace.create();
  const server = workspace.keep(await Versitygw.start(await workspace.folder('s3')));
  const driver = new S3Driver({
    bucket: server.bucket,
    endpoint: server.endpoint,
    accessKey: server.accessKey,
    secretKey: server.secretKey,
    forcePathStyle: true,
    root: '/some/prefix',
    chunkBytes: 5 * 1024 * 1024,
  });
  await driver.open();
  return { driver, dispose: () => workspace.end() };
});
