import { MemoryDriver } from '../../../storage/drivers/memory.ts';
import { describeDriver } from '../../support/driver-suite.ts';

describeDriver('memory', async () => ({ driver: new MemoryDriver() }));
