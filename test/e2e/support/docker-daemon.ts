import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommandOptions, run, tool } from './command.ts';

/**
 * Debian's dockerd, started by hand as root in a folder of its own: no bridge and no iptables rules, so it disturbs
 * nothing else on the machine. It takes any registry on 127.0.0.0/8 over plain http.
 */
export class DockerDaemon {
  readonly #child: ChildProcess;
  readonly #env: Record<string, string>;
  #output = '';

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#env = {
      DOCKER_HOST: `unix://${join(folder, 'S')}`,
      DOCKER_CONFIG: join(folder, 'client'),
      DOCKER_BUILDKIT: '0',
    };
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-16_000);
    });
  }

  /** Starts it under `folder` and waits until it answers. */
  static async start(folder: string): Promise<DockerDaemon> {
    await mkdir(join(folder, 'client'), { recursive: true });
    const child = spawn(
      tool('dockerd'),
      [
        ['--data-root', join(folder, 'D')],
        ['--exec-root', join(folder, 'E')],
        ['-H', `unix://${join(folder, 'S')}`],
        ['--pidfile', join(folder, 'P')],
        ['--storage-driver', 'vfs'],
        ['--insecure-registry', '127.0.0.0/8'],
        ['--iptables=false', '--ip6tables=false', '--bridge=none'],
      ].flat(),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const daemon = new DockerDaemon(child, folder);
    for (const deadline = Date.now() + 60_000; ; ) {
      try {
        await daemon.docker(['version']);
        return daemon;
      } catch (error) {
        if (child.exitCode !== null || Date.now() > deadline) {
          await daemon.stop();
          throw new Error(`dockerd did not start: ${daemon.#output}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  /** Runs the docker command against this daemon. */
  async docker(args: string[], options: CommandOptions = {}): Promise<string> {
    const env = { ...this.#env, ...options.env };
    return (await run('docker', args, { ...options, env })).toString('utf8');
  }

  /** Runs a command in a container of an image that the daemon has, without a network; gives its output. */
  runContainer(image: string, command: string[] = []): Promise<string> {
    return this.docker(['run', '--rm', '--pull', 'never', '--network', 'none', image, ...command]);
  }

  /** The files of an image as one tar archive, without running anything in it. */
  async exportImage(image: string): Promise<Buffer> {
    const id = (await this.docker(['create', '--network', 'none', image, 'none'])).trim();
    const archive = await run('docker', ['export', id], { env: this.#env });
    await this.docker(['rm', id]);
    return archive;
  }

  /** Forgets an image, so that the next pull fetches it. */
  async forget(...images: string[]): Promise<void> {
    await this.docker(['image', 'rm', '--force', ...images]);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGTERM'); // ends the containerd that it started, too
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    await gone;
    clearTimeout(timer);
  }
}
