import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isImageId, type V1ImageId } from '../names.ts';
import { parseImageJson } from '../v1-json.ts';
import { decodePart, repositoryPathOf, type TreeDirectory } from './v1-tree-names.ts';

/** More than any image's JSON or list of images. */
const MAX_SMALL_FILE = 16 * 1024 * 1024;

/** An image directory as it lies there, before it is known whether its ancestors do. */
export interface TreeImage {
  id: V1ImageId;
  parent: V1ImageId | undefined;
  /** What the file `ancestry` says; undefined when it is missing or unreadable. */
  ancestry: readonly string[] | undefined;
  /** Bytes of the layer. */
  layerBytes: number;
  /** Why the image is of no use, whatever lies around it. */
  problem?: string;
}

export interface TreeTag {
  /** The name as decoded; nothing is checked of it. */
  name: string;
  id: V1ImageId;
  /** Who pushed it (v1.md 1.7), where a JSON object tells it. */
  info?: Buffer;
}

export interface TreeRepository {
  directory: TreeDirectory;
  /** `namespace/repository`; undefined when the directory's name can't be decoded. */
  path: string | undefined;
  tags: TreeTag[];
  private: boolean;
  /** The image list of the index role: ids and what checksum it has of them. */
  list: { id: V1ImageId; checksum?: string }[];
  /** Files that look like tags and are none. */
  strangers: string[];
}

/** A storage root of docker-registry 0.6 to 0.9 in a local directory (v1.md 3). Reads only. */
export class V1Tree {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Whether a directory looks like one: `images` and `repositories` side by side, and something in them. */
  static isAt(root: string): boolean {
    const images = names(join(root, 'images'));
    const repositories = names(join(root, 'repositories'));
    if (!images || !repositories) return false;
    return images.some(isImageId) || (images.length === 0 && repositories.length > 0);
  }

  /** Image directories, and entries beside them that are none. */
  images(): { ids: V1ImageId[]; strangers: string[] } {
    const all = (names(join(this.root, 'images')) ?? []).sort();
    return { ids: all.filter(isImageId), strangers: all.filter((name) => !isImageId(name)) };
  }

  image(id: V1ImageId): TreeImage {
    const image: TreeImage = { id, parent: undefined, ancestry: undefined, layerBytes: 0 };
    const problem = this.#look(image);
    return problem === undefined ? image : { ...image, problem };
  }

  /** The image JSON, byte for byte. Throws when it can't be read. */
  json(id: V1ImageId): Buffer {
    return small(this.file(id, 'json'));
  }

  /** Checksums as stored: a JSON list, or up to 0.6 one bare string. Empty when there is no file, or nothing in it. */
  checksums(id: V1ImageId): string[] {
    const text = optional(this.file(id, '_checksum'))?.toString().trim() ?? '';
    if (text === '') return [];
    try {
      const list = JSON.parse(text) as unknown;
      if (typeof list === 'string') return [list];
      if (Array.isArray(list)) return list.filter((each) => typeof each === 'string');
    } catch {
      // A bare string.
    }
    return [text];
  }

  file(id: V1ImageId, name: 'json' | 'layer' | 'ancestry' | '_checksum' | '_inprogress'): string {
    return join(this.root, 'images', id, name);
  }

  *repositories(): Generator<TreeRepository> {
    const root = join(this.root, 'repositories');
    for (const namespace of directories(root)) {
      for (const repository of directories(join(root, namespace))) {
        yield readRepository(join(root, namespace, repository), { namespace, repository });
      }
    }
  }

  /** Fills in what can be known; gives what is wrong. */
  #look(image: TreeImage): string | undefined {
    const { id } = image;
    try {
      const layer = statSync(this.file(id, 'layer'), { throwIfNoEntry: false });
      image.layerBytes = layer?.isFile() ? layer.size : 0;
      if (exists(this.file(id, '_inprogress'))) return 'its push was never finished (_inprogress)';
      const json = optional(this.file(id, 'json'));
      if (!json) return 'its JSON is missing';
      image.parent = parseImageJson(json, id).parent;
      image.ancestry = parseAncestry(optional(this.file(id, 'ancestry')));
      return layer?.isFile() ? undefined : 'its layer is missing';
    } catch (error) {
      return (error as Error).message;
    }
  }
}

function parseAncestry(bytes: Buffer | undefined): string[] | undefined {
  if (!bytes) return undefined;
  try {
    const list = JSON.parse(bytes.toString()) as unknown;
    return Array.isArray(list) ? list.map(String) : undefined;
  } catch {
    return undefined;
  }
}

function readRepository(path: string, directory: TreeDirectory): TreeRepository {
  const files = (names(path) ?? []).sort();
  const found: TreeRepository = {
    directory,
    path: repositoryPathOf(directory),
    tags: [],
    private: files.includes('_private'),
    list: parseList(optional(join(path, '_index_images'))),
    strangers: [],
  };
  for (const file of files.filter((each) => each.startsWith('tag_'))) {
    const encoded = file.slice('tag_'.length);
    const name = decodePart(encoded);
    const id = optional(join(path, file))?.toString('latin1').trim() ?? '';
    // `tag_x_json` is a tag called `x_json`, or what is known of who pushed the tag `_x`.
    if (name === undefined || !isImageId(id)) {
      const isInfo = file.endsWith('_json') && files.includes(`tag_${file.slice(3, -5)}`);
      if (!isInfo) found.strangers.push(file);
      continue;
    }
    const info = parseInfo(optional(join(path, `tag${encoded}_json`)));
    found.tags.push({ name, id, ...(info && { info }) });
  }
  return found;
}

function parseInfo(bytes: Buffer | undefined): Buffer | undefined {
  if (!bytes) return undefined;
  try {
    const info = JSON.parse(bytes.toString()) as unknown;
    return typeof info === 'object' && info !== null && !Array.isArray(info) ? bytes : undefined;
  } catch {
    return undefined;
  }
}

function parseList(bytes: Buffer | undefined): TreeRepository['list'] {
  if (!bytes) return [];
  try {
    const list = JSON.parse(bytes.toString()) as unknown;
    if (!Array.isArray(list)) return [];
    return list.flatMap((entry: { id?: unknown; checksum?: unknown } | null) => {
      const { id, checksum } = entry ?? {};
      if (typeof id !== 'string' || !isImageId(id)) return [];
      return [{ id, ...(typeof checksum === 'string' && checksum !== '' && { checksum }) }];
    });
  } catch {
    return [];
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** A link that leads nowhere or in a circle is as good as none. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP'];

/** A small file, or undefined when there is none. */
function optional(path: string): Buffer | undefined {
  try {
    return small(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== undefined && ABSENT.includes(code)) return undefined;
    throw error;
  }
}

function small(path: string): Buffer {
  const { size } = statSync(path);
  if (size > MAX_SMALL_FILE) throw new Error(`${path} has ${size} bytes`);
  return readFileSync(path);
}

/** What lies in a directory; undefined when it is none. */
function names(path: string): string[] | undefined {
  try {
    return readdirSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function directories(path: string): string[] {
  const found = (names(path) ?? []).sort();
  return found.filter((name) => isDirectory(join(path, name)));
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
