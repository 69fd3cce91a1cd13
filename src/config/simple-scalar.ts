/** No character in here means anything to YAML, but `:` before a space or at the end. */
const PLAIN = /^(?:(?:[A-Za-z0-9_/]|\.\/)[A-Za-z0-9_/.:@+~=-]*(?<!:))?$/;
const QUOTED = /^"([A-Za-z0-9_/.:@+~= -]*)"$/;

/**
 * What a text of one line says as YAML, when it is a plain or a quoted scalar beyond doubt, as most values of variables
 * are. Undefined: the YAML library is to be asked.
 */
export function simpleScalar(text: string): { text: string; quoted: boolean } | undefined {
  if (PLAIN.test(text)) return { text, quoted: false };
  const quoted = QUOTED.exec(text)?.[1];
  return quoted === undefined ? undefined : { text: quoted, quoted: true };
}
