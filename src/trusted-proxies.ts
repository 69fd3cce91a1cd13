import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'];

/**
 * Takes what a proxy says of the client out of requests that no trusted proxy sent: anybody could write it.
 * `proxies` are addresses and CIDR blocks; undefined is given where `*` trusts everybody.
 */
export function distrustOthers(
  proxies: readonly string[],
): ((request: IncomingMessage) => void) | undefined {
  if (proxies.includes('*')) return undefined;
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(bits), family);
  }
  return (request) => {
    const peer = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
    const known = isIP(peer) !== 0 && trusted.check(peer, isIP(peer) === 6 ? 'ipv6' : 'ipv4');
    if (!known) for (const header of FORWARDED) delete request.headers[header];
  };
}
