import { normalizeKey, type TreeNode } from './tree.ts';

/** Keys whose value nobody should see, in the files and in Config alike; `authorization` stands in header maps. */
const SECRETS = new Set([
  'secret',
  'password',
  'smtppassword',
  'secretkey',
  's3secretkey',
  'accesskey',
  's3accesskey',
  'accountkey',
  'azurestorageaccountkey',
  'connectionstring',
  'authorization',
  'proxyauthorization',
  'cookie',
  'xapikey',
  'apikey',
  'sentinelpassword',
  'gssecretkey',
  'webhook',
  'errorwebhook',
]);

export function isSecretKey(key: string): boolean {
  return SECRETS.has(normalizeKey(key));
}

/** Whether a secret stands in the file itself rather than in the environment. */
export function holdsLiteralSecrets(node: TreeNode): boolean {
  if (node.kind === 'scalar') return false;
  if (node.kind === 'list') return node.items.some(holdsLiteralSecrets);
  return [...node.entries].some(([key, value]) => {
    if (!isSecretKey(key)) return holdsLiteralSecrets(value);
    return value.origin.kind === 'file' && !(value.kind === 'scalar' && value.text === '');
  });
}
