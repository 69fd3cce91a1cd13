import { type ChildServer, startIsthmus } from '../../support/child-server.ts';
import { type DistributionVersion, startDistribution } from './distribution.ts';

/**
 * The registry under test over `storage`: ours. With E2E_SUBJECT=2.8 or 3.1 it is distribution, which tells whether a
 * failing V2 test is wrong itself.
 */
export function startSubject(storage: string): Promise<ChildServer> {
  const other = process.env.E2E_SUBJECT;
  return other === undefined
    ? startIsthmus({ storage })
    : startDistribution(other as DistributionVersion, storage);
}
