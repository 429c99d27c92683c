/**
 * From sources to one configuration: flags > environment > file > preset > default, value by
 * value; then the schema, the relations and the rules of exposure; then frozen. Whatever is wrong
 * is a `config_invalid` that names the option and where its value was written.
 */
import { type Environment, CONFIG_PATH_ENV, envValue, readEnvLayer } from './env-source.ts';
import { findConfigFile, readConfigFile, standardPaths } from './files.ts';
import { configPathFlag, type Flags, readFlagLayer } from './flag-source.ts';
import { describeIssue, keyOf, listFaults } from './faults.ts';
import { configInvalid, type Layer, mergeLayers, type SourceResult } from './layer.ts';
import { CONFIG_OPTIONS, showValue } from './options.ts';
import { presetLayer, type PresetName, presetOf } from './presets.ts';
import { checkRelations } from './relations.ts';
import { configSchema, type ParsedConfig, type RingloadConfig } from './schema.ts';
import { readSecrets } from './read-secrets.ts';
import type { ConfigSecrets } from './secrets.ts';
import { advertisedHost, checkExposure, checkS3Exposure } from './trust.ts';
import { readYamlLayer } from './yaml-source.ts';
import { GIB } from '../base/units.ts';

export interface ConfigSources {
  readonly flags?: Flags;
  /** As {@link readEnv} gives it; absent means empty. */
  readonly env?: Environment;
  /** Wins over `--config` and RINGLOAD_CONFIG; the file has to exist. */
  readonly configPath?: string;
  /** Looked at when no file is named, in place of the standard places. */
  readonly searchPaths?: readonly string[];
}

/** One option as it came out, for people. */
export interface OptionOrigin {
  readonly key: string;
  /** Secrets are hidden. */
  readonly value: string;
  readonly origin: string;
}

export interface LoadedConfig {
  readonly config: RingloadConfig;
  readonly secrets: ConfigSecrets;
  readonly preset: PresetName;
  /** The file that was read, if any. */
  readonly configPath: string | undefined;
  /** Every option with its value and where that came from, in the order of the reference. */
  describeOrigins(): OptionOrigin[];
}

/** Capacity of the cache directory that is used when none is configured. */
const DEFAULT_CACHE_BYTES = 10 * GIB;

/** @throws config_invalid */
export async function loadConfig(sources: ConfigSources = {}): Promise<LoadedConfig> {
  const { flags = {}, env = {} } = sources;
  const fromFlags = readFlagLayer(flags);
  const fromEnv = readEnvLayer(env);
  const file = await readFileLayer(sources, flags, env);
  const preset = presetOf(fromFlags.preset ?? fromEnv.preset ?? file?.result.preset);
  const layers = [presetLayer(preset), file?.result.layer, fromEnv.layer, fromFlags.layer];
  const merged = mergeLayers(layers.filter((layer) => layer !== undefined));

  const parsed = parse(merged);
  const secrets = await readSecrets(parsed);
  const config = complete(parsed);
  check(config, secrets, merged);
  return {
    config: deepFreeze(config),
    secrets,
    preset,
    configPath: file?.path,
    describeOrigins: () => describeOrigins(config, merged),
  };
}

async function readFileLayer(
  sources: ConfigSources,
  flags: Flags,
  env: Environment,
): Promise<{ path: string; result: SourceResult } | undefined> {
  const named = sources.configPath ?? configPathFlag(flags) ?? envValue(env, CONFIG_PATH_ENV);
  if (named !== undefined) {
    return { path: named, result: readYamlLayer(await readConfigFile(named), named) };
  }
  const homes = standardPaths(envValue(env, 'XDG_CONFIG_HOME'), envValue(env, 'HOME'));
  const found = await findConfigFile(sources.searchPaths ?? homes);
  return found && { path: found.path, result: readYamlLayer(found.text, found.path) };
}

function parse(merged: Layer): ParsedConfig {
  const sections: Record<string, Record<string, unknown>> = {};
  for (const { section, name, key } of CONFIG_OPTIONS) {
    const values = (sections[section] ??= {});
    const sourced = merged.get(key);
    if (sourced) values[name] = sourced.value;
  }
  const result = configSchema.safeParse(sections);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => describeIssue(issue, merged));
  throw configInvalid(listFaults(faults), { key: keyOf(result.error.issues[0]?.path ?? []) });
}

/** Fills in the defaults that depend on other values and leaves the secrets out. */
function complete(parsed: ParsedConfig): RingloadConfig {
  const { secretFile, previousSecretFile, insecure } = parsed.cluster;
  const { dataDir } = parsed.peer;
  const path = `${dataDir.replace(/(?<=[^/])\/+$/, '')}/cache`;
  const { directories } = parsed.cache;
  const { accessKeys: _, ...s3 } = parsed.s3;
  return {
    ...parsed,
    s3: { ...s3, host: s3.host === '' ? parsed.peer.host : s3.host },
    peer: { ...parsed.peer, advertiseHost: advertisedHost(parsed.peer) },
    cluster: { secretFile, previousSecretFile, insecure },
    cache: {
      ...parsed.cache,
      directories:
        directories.length > 0 ? directories : [{ path, capacityBytes: DEFAULT_CACHE_BYTES }],
    },
  };
}

function check(config: RingloadConfig, secrets: ConfigSecrets, merged: Layer): void {
  const violations = checkRelations(config);
  if (violations.length > 0) {
    const faults = violations.map(({ key, message }) => {
      const sourced = merged.get(key);
      return sourced ? `${message} (${sourced.origin})` : message;
    });
    throw configInvalid(listFaults(faults), { key: violations[0]?.key ?? '' });
  }
  const hasSecret = secrets.clusterSecret !== undefined;
  checkExposure(config.peer.host, hasSecret, config.cluster.insecure);
  checkS3Exposure(config, secrets);
}

function describeOrigins(config: RingloadConfig, merged: Layer): OptionOrigin[] {
  const sections = config as unknown as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  return CONFIG_OPTIONS.map((option) => {
    const sourced = merged.get(option.key);
    const value = option.secret ? sourced?.value : sections[option.section]?.[option.name];
    return {
      key: option.key,
      value: showValue(option, value),
      origin: sourced?.origin ?? 'default',
    };
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
