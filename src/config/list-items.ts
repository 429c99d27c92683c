/**
 * Text forms of the list items, for flags and the environment; the file has them as YAML.
 *
 * A mount is `URI[,key=value…]`. A comma is taken as a separator only before a known key, since
 * it may be part of a path.
 */
import type { RingloadError } from '../base/errors.ts';
import { configInvalid, printable } from './layer.ts';

const MOUNT_KEYS = [
  'endpoint',
  'region',
  'forcePathStyle',
  'credentials',
  'responseChecksums',
  'freshness',
  'writes',
];
const MOUNT_SPLIT = new RegExp(`,(?=(?:${MOUNT_KEYS.join('|')})=)`);

/** `s3://bucket/prefix,endpoint=http://127.0.0.1:9000,credentials=anonymous`. */
export function parseMount(text: string): unknown {
  const [path = '', ...settings] = text.split(MOUNT_SPLIT);
  const mount: Record<string, unknown> = { path };
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    const [key, value] = [setting.slice(0, equals), setting.slice(equals + 1)];
    if (Object.hasOwn(mount, key)) throw malformed(text, `sets ${key} twice`);
    mount[key] = mountValue(key, value);
  }
  return mount;
}

function mountValue(key: string, value: string): unknown {
  if (key === 'credentials') return parseCredentials(value);
  if (key === 'forcePathStyle' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

/** `anonymous`, `env:ID_NAME:SECRET_NAME[:TOKEN_NAME]` or `file:ID_PATH:SECRET_PATH[:TOKEN_PATH]`. */
function parseCredentials(text: string): unknown {
  const [kind, id, secret, token, ...rest] = text.split(':');
  if (kind === 'anonymous' && id === undefined) return { kind };
  if ((kind !== 'env' && kind !== 'file') || !id || !secret || rest.length > 0) {
    throw malformed(text, 'is not anonymous, env:ID:SECRET[:TOKEN] or file:ID:SECRET[:TOKEN]');
  }
  if (kind === 'env') {
    const names = { kind, accessKeyIdName: id, secretAccessKeyName: secret };
    return token ? { ...names, sessionTokenName: token } : names;
  }
  const paths = { kind, accessKeyIdPath: id, secretAccessKeyPath: secret };
  return token ? { ...paths, sessionTokenPath: token } : paths;
}

export function formatMount(item: unknown): string {
  const mount = item as Readonly<Record<string, unknown>>;
  const settings = MOUNT_KEYS.filter((key) => mount[key] !== undefined).map(
    (key) => `${key}=${key === 'credentials' ? formatCredentials(mount[key]) : String(mount[key])}`,
  );
  return [String(mount['path']), ...settings].join(',');
}

/** Names and paths of credentials are no secrets; the values behind them are never read here. */
function formatCredentials(item: unknown): string {
  return Object.values(item as Readonly<Record<string, string>>).join(':');
}

/** `/mnt/disk1=100GiB`; the last `=` separates. */
export function parseCacheDirectory(text: string): unknown {
  const equals = text.lastIndexOf('=');
  if (equals <= 0) throw malformed(text, 'is not <path>=<size>');
  return { path: text.slice(0, equals), capacityBytes: text.slice(equals + 1) };
}

export function formatCacheDirectory(item: unknown): string {
  const { path, capacityBytes } = item as { path: string; capacityBytes: number | string };
  return `${path}=${capacityBytes}`;
}

function malformed(text: string, rule: string): RingloadError {
  return configInvalid(`'${printable(text)}' ${rule}`);
}
