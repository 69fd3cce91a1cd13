import type { V1ImageId } from '../names.ts';
import { MAX_ANCESTRY } from '../v1-json.ts';
import type { TreeImage } from './v1-tree.ts';

/** Where an image stands: in a whole line of ancestors of some depth, or of no use. */
export type Standing = { depth: number } | { reason: string };

/**
 * The lines of descent among the images of a tree, from their `parent` links alone: `ancestry` files are claims. An
 * image of no use takes all that are built on it with it (v1.md 3.3).
 */
export class Lineage {
  readonly #images: ReadonlyMap<V1ImageId, TreeImage>;
  readonly #standings = new Map<V1ImageId, Standing>();

  constructor(images: ReadonlyMap<V1ImageId, TreeImage>) {
    this.#images = images;
  }

  standing(id: V1ImageId): Standing {
    const path: V1ImageId[] = [];
    const onPath = new Set<V1ImageId>();
    let below: Standing | undefined;
    let at: V1ImageId | undefined = id;
    while (at !== undefined) {
      below = this.#standings.get(at);
      if (below) break;
      if (onPath.has(at)) {
        this.#condemnCircle(path.slice(path.indexOf(at)));
        below = this.#standings.get(at);
        break;
      }
      path.push(at);
      onPath.add(at);
      at = this.#images.get(at)?.parent;
    }
    for (const each of path.reverse()) {
      const known = this.#standings.get(each);
      if (!known) this.#standings.set(each, this.#above(each, below));
      below = this.#standings.get(each);
    }
    return this.#standings.get(id) as Standing;
  }

  /** The image first, then its parents down to the base; of an image with a depth only. */
  ancestry(id: V1ImageId): V1ImageId[] {
    const line: V1ImageId[] = [];
    for (let at: V1ImageId | undefined = id; at !== undefined; at = this.#images.get(at)?.parent) {
      line.push(at);
    }
    return line;
  }

  /** Whether the file `ancestry` says what the parent links say. */
  agrees(image: TreeImage): boolean {
    const line = this.ancestry(image.id);
    const { ancestry } = image;
    return ancestry?.length === line.length && line.every((id, at) => ancestry[at] === id);
  }

  #above(id: V1ImageId, below: Standing | undefined): Standing {
    const image = this.#images.get(id);
    if (!image) return { reason: 'it is missing' };
    if (image.problem !== undefined) return { reason: image.problem };
    if (image.parent === undefined) return { depth: 1 };
    if (!below) return { reason: `its parent ${image.parent} is missing` };
    if ('reason' in below) return { reason: this.#because(image.parent, below.reason) };
    if (below.depth >= MAX_ANCESTRY)
      return { reason: `it has more than ${MAX_ANCESTRY} ancestors` };
    return { depth: below.depth + 1 };
  }

  #because(parent: V1ImageId, reason: string): string {
    if (!this.#images.has(parent)) return `its parent ${parent} is missing`;
    // The reason of the first broken image goes up the line, not a tale that grows with each.
    return reason.startsWith('its ancestor ')
      ? reason
      : `its ancestor ${parent} is broken: ${reason}`;
  }

  #condemnCircle(circle: readonly V1ImageId[]): void {
    const reason = `its ancestry runs in a circle of ${circle.length}`;
    for (const id of circle) this.#standings.set(id, { reason });
  }
}
