/**
 * The environment as a source. `readEnv` and `readMountEnv` are the only functions of the program
 * that name `process.env`, apart from the AWS chain, which reads its own variables.
 */
import {
  configInvalid,
  type Layer,
  printable,
  type Sourced,
  type SourceResult,
  unknownName,
} from './layer.ts';
import { CONFIG_OPTIONS } from './options.ts';
import { parseText } from './parse-text.ts';
import type { MountOptions } from './schema.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = 'RINGLOAD_';

export const PRESET_ENV = 'RINGLOAD_PRESET';
export const CONFIG_PATH_ENV = 'RINGLOAD_CONFIG';
export const FAILPOINTS_ENV = 'RINGLOAD_FAILPOINTS';

/** Of our prefix, but no options: read by the command line or while the configuration is found. */
export const OTHER_ENV_NAMES: Readonly<Record<string, string>> = {
  [CONFIG_PATH_ENV]: 'Configuration file, as `--config`.',
  [PRESET_ENV]: 'Preset, as `--preset`.',
  [FAILPOINTS_ENV]: 'Faults at named steps of `serve`, for tests of Ringload itself.',
  RINGLOAD_PEER: 'Peer that the client commands talk to, `host:port`.',
  RINGLOAD_TOKEN: 'Bearer token that the client commands send.',
};

/** Variables outside the prefix that tell where the configuration file may be. */
const LOCATION_ENV_NAMES = ['XDG_CONFIG_HOME', 'HOME'];

/**
 * Kubernetes gives every pod variables about the services of its namespace, named after them; a
 * service called `ringload` must not keep the peers from starting.
 */
const KUBERNETES_LINK =
  /^RINGLOAD_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;
const KUBERNETES_URL = /^(?:tcp|udp|sctp):\/\//;

/** A copy of the variables that the program looks at. */
export function readEnv(): Environment {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined) continue;
    if (name.startsWith(PREFIX) || LOCATION_ENV_NAMES.includes(name)) env[name] = value;
  }
  return env;
}

const AWS_PREFIX = 'AWS_';

/** A copy of what mounts look at: AWS settings, and the variables that their credentials name. */
export function readMountEnv(mounts: readonly MountOptions[]): Environment {
  const named = new Set<string>();
  for (const { credentials } of mounts) {
    if (credentials?.kind !== 'env') continue;
    const { accessKeyIdName, secretAccessKeyName, sessionTokenName } = credentials;
    for (const name of [accessKeyIdName, secretAccessKeyName, sessionTokenName]) {
      if (name !== undefined) named.add(name);
    }
  }
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name.startsWith(AWS_PREFIX) || named.has(name)),
  );
}

/**
 * An empty variable counts as not set, which is how compose files and unit files leave one out.
 * @throws config_invalid for an unknown variable of our prefix or a malformed value.
 */
export function readEnvLayer(env: Environment): SourceResult {
  const byName = new Map(CONFIG_OPTIONS.map((option) => [option.envName, option]));
  const layer = new Map<string, Sourced>();
  let preset: Sourced | undefined;
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || value === undefined || value === '') continue;
    const origin = `environment ${name}`;
    const option = byName.get(name);
    if (option) {
      layer.set(option.key, { value: parseText(option, value, origin), origin });
    } else if (name === PRESET_ENV) {
      preset = { value, origin };
    } else if (!isForeign(name, value)) {
      throw unknownName('environment variable', name, [
        ...byName.keys(),
        ...Object.keys(OTHER_ENV_NAMES),
      ]);
    }
  }
  return { layer: layer satisfies Layer, preset };
}

function isForeign(name: string, value: string): boolean {
  if (Object.hasOwn(OTHER_ENV_NAMES, name) || KUBERNETES_LINK.test(name)) return true;
  return name.endsWith('_PORT') && KUBERNETES_URL.test(value);
}

/** A variable's value where an empty one counts as absent. */
export function envValue(env: Environment, name: string): string | undefined {
  const value = env[name];
  if (value?.includes('\0')) throw configInvalid(`${printable(name)} contains a NUL character`);
  return value === '' ? undefined : value;
}
