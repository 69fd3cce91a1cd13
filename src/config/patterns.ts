const PATTERN = /^(\*\*|[a-z0-9._*-]+)(\/(\*\*|[a-z0-9._*-]+))*$/;

/** Whether `text` is a pattern for repository names: `*` within a component, `**` for any number of components. */
export function isRepositoryPattern(text: string): boolean {
  return text.length <= 255 && PATTERN.test(text) && !/\*\*[^/]|[^/]\*\*/.test(text);
}

/** The test that `pattern` stands for. `team/**` matches `team/a` and `team/a/b`, but not `team`. */
export function repositoryMatcher(pattern: string): (name: string) => boolean {
  if (pattern === '**') return () => true;
  const source = pattern
    .split('/')
    .map((part) => (part === '**' ? '.+' : part.replaceAll('.', '\\.').replaceAll('*', '[^/]*')))
    .join('/');
  const expression = new RegExp(`^${source}$`);
  return (name) => expression.test(name);
}
