import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { freePort } from '../../support/free-port.ts';
import { makeCertificate } from '../../support/self-signed.ts';
import { tool } from './command.ts';

export interface PebbleOptions {
  /** Where it looks at tls-alpn-01 challenges. */
  tlsPort: number;
  /** Seconds that its certificates are valid. */
  validity: number;
}

interface Ports {
  acme: number;
  management: number;
  dns: number;
}

/** Pebble, Let's Encrypt's test server of ACME, and a DNS in which every name is 127.0.0.1. Keeps nothing on disk. */
export class Pebble {
  readonly directoryUrl: string;
  /** Path of the certificate that its own HTTPS is believed by. */
  readonly trust: string;
  readonly #folder: string;
  readonly #ports: Ports;
  #children: ChildProcess[] = [];

  private constructor(folder: string, trust: string, ports: Ports) {
    this.#folder = folder;
    this.#ports = ports;
    this.trust = trust;
    this.directoryUrl = `https://127.0.0.1:${ports.acme}/dir`;
  }

  /** Prepares one whose URL stays, however often it is started. */
  static async prepare(folder: string): Promise<Pebble> {
    await mkdir(folder, { recursive: true });
    const { certificate } = makeCertificate(folder);
    const ports = {
      acme: await freePort(),
      management: await freePort(),
      dns: await freePort(),
    };
    return new Pebble(folder, certificate, ports);
  }

  async start({ tlsPort, validity }: PebbleOptions): Promise<void> {
    const { acme, management, dns } = this.#ports;
    const config = join(this.#folder, 'pebble.json');
    await writeFile(
      config,
      JSON.stringify({
        pebble: {
          listenAddress: `127.0.0.1:${acme}`,
          managementListenAddress: `127.0.0.1:${management}`,
          certificate: this.trust,
          privateKey: join(this.#folder, 'key.pem'),
          httpPort: 1,
          tlsPort,
          retryAfter: { authz: 1, order: 1 },
          profiles: { default: { description: 'of the test', validityPeriod: validity } },
        },
      }),
    );
    const names = [
      '-defaultIPv4',
      '127.0.0.1',
      '-defaultIPv6',
      '',
      '-dnsserver',
      `127.0.0.1:${dns}`,
    ];
    const nothingElse = ['http01', 'https01', 'tlsalpn01', 'doh'].flatMap((each) => [
      `-${each}`,
      '',
    ]);
    this.#spawn('pebble-challtestsrv', [...names, ...nothingElse, '-management', '127.0.0.1:0']);
    await eventually(() => answers(dns), 'the DNS listens');
    this.#spawn('pebble', ['-config', config, '-dnsserver', `127.0.0.1:${dns}`]);
    await eventually(() => this.root().then(Boolean, () => false), 'pebble listens');
  }

  /** The root certificate that what it issues hangs from, PEM; another one after each start. */
  async root(): Promise<string> {
    const agent = new Agent({ ca: readFileSync(this.trust) });
    const asked = get(`https://127.0.0.1:${this.#ports.management}/roots/0`, { agent });
    const [response] = await once(asked, 'response');
    let text = '';
    for await (const chunk of response) text += chunk;
    return text;
  }

  async stop(): Promise<void> {
    const children = this.#children;
    this.#children = [];
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }

  #spawn(name: string, args: string[]): void {
    const env = { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0' };
    this.#children.push(
      spawn(tool(name), args, { env, stdio: process.env.E2E_VERBOSE ? 'inherit' : 'ignore' }),
    );
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
