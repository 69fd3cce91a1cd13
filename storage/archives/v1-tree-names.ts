/*
 * How docker-registry 0.9 writes names into its paths (v1.md 3.2): every part is form-encoded once, and the repository
 * was encoded once before that, so that `one/two/three` lies at `repositories/one/two%252Fthree`.
 */

/** A repository's directory below `repositories/`. */
export interface TreeDirectory {
  namespace: string;
  repository: string;
}

/** The name that a directory stands for, such as `library/ubuntu`; undefined when it is not encoded right. */
export function repositoryPathOf({ namespace, repository }: TreeDirectory): string | undefined {
  const first = decodePart(namespace);
  const once = decodePart(repository);
  const rest = once === undefined ? undefined : decodePart(once);
  return first === undefined || rest === undefined ? undefined : `${first}/${rest}`;
}

/** Where a repository lies. A name without a slash lies in the namespace `library`. */
export function directoryOf(name: string): TreeDirectory {
  const slash = name.indexOf('/');
  const namespace = slash < 0 ? 'library' : name.slice(0, slash);
  const repository = slash < 0 ? name : name.slice(slash + 1);
  return { namespace: encodePart(namespace), repository: encodePart(encodePart(repository)) };
}

/** A blank becomes `+`; all but letters, digits, `_`, `.` and `-` becomes `%XX`; `.` and `..` are escaped first. */
export function encodePart(text: string): string {
  const safe = text === '.' || text === '..' ? text.replaceAll('.', '%2E') : text;
  return encodeURIComponent(safe)
    .replace(/[!'()*~]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

/** The reverse of `encodePart`; undefined when the text is no encoding of anything. */
export function decodePart(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
