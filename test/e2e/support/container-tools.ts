import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommandOptions, run } from './command.ts';

/** podman, buildah and skopeo with storage of their own below one folder, all over plain http. */
export class ContainerTools {
  readonly #folder: string;
  readonly #env: Record<string, string>;

  constructor(folder: string) {
    this.#folder = folder;
    const logins = join(folder, 'auth.json'); // nobody's own logins are used
    writeFileSync(logins, '{}');
    this.#env = { TMPDIR: folder, REGISTRY_AUTH_FILE: logins };
  }

  async podman(args: string[], options: CommandOptions = {}): Promise<string> {
    const at = this.#storage('podman');
    const common = [...at, '--tmpdir', join(this.#folder, 'podman-tmp')];
    // crun refuses the hybrid cgroups of some machines, runc takes them.
    const engine = [
      '--cgroup-manager',
      'cgroupfs',
      '--events-backend',
      'file',
      '--runtime',
      'runc',
    ];
    return this.#run('podman', [...common, ...engine, ...args], options);
  }

  async podmanPull(image: string): Promise<void> {
    await this.podman(['pull', '--quiet', '--tls-verify=false', image]);
  }

  async podmanPush(image: string, ...flags: string[]): Promise<void> {
    await this.podman(['push', '--quiet', '--tls-verify=false', ...flags, image]);
  }

  /** Runs a command in a container of an image that podman has; limits are lowered since root may not raise them. */
  runContainer(image: string, command: string[] = []): Promise<string> {
    const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
    const flags = ['--rm', '--pull', 'never', '--network', 'none', ...limits];
    return this.podman(['run', ...flags, image, ...command]);
  }

  async buildah(args: string[], options: CommandOptions = {}): Promise<string> {
    return this.#run('buildah', [...this.#storage('buildah'), ...args], options);
  }

  async skopeo(args: string[], options: CommandOptions = {}): Promise<string> {
    return this.#run('skopeo', args, options);
  }

  /** Copies an image into a folder in skopeo's `dir:` form and gives its layers, base first. */
  async skopeoLayers(image: string, folder: string): Promise<Buffer[]> {
    await this.skopeo([
      'copy',
      '--quiet',
      '--src-tls-verify=false',
      `docker://${image}`,
      `dir:${folder}`,
    ]);
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as {
      layers: { digest: string }[];
    };
    const files = manifest.layers.map(({ digest }) => join(folder, digest.replace('sha256:', '')));
    return Promise.all(files.map((file) => readFile(file)));
  }

  #storage(name: string): string[] {
    const root = join(this.#folder, `${name}-root`);
    return [
      '--root',
      root,
      '--runroot',
      join(this.#folder, `${name}-run`),
      '--storage-driver',
      'vfs',
    ];
  }

  async #run(name: string, args: string[], options: CommandOptions): Promise<string> {
    const env = { ...this.#env, ...options.env };
    return (await run(name, args, { ...options, env })).toString('utf8');
  }
}
