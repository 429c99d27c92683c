/**
 * Presets: a few options set for a kind of network, weaker than anything said explicitly.
 *
 * `lan` is what the defaults are made for. `local` is several peers on one machine, where a silent
 * peer is a dead one and disks are shared. `wan` is peers in different places, where a lost second
 * means nothing.
 */
import { GIB, MIB } from '../base/units.ts';
import { configInvalid, type Layer, printable, type Sourced } from './layer.ts';
import { nearest } from './nearest.ts';

export const PRESET_NAMES = ['local', 'lan', 'wan'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

export const DEFAULT_PRESET: PresetName = 'lan';

export const PRESETS: Readonly<Record<PresetName, Readonly<Record<string, number>>>> = {
  local: {
    'raft.replaceVoterAfterMs': 20_000,
    'liveness.downAfterMs': 10_000,
    'cache.regionSizeBytes': 64 * MIB,
    'load.concurrency': 8,
    'load.checkpointIntervalMs': 1_000,
  },
  lan: {},
  wan: {
    'raft.heartbeatTicks': 5,
    'raft.electionTicks': 50,
    'raft.replaceVoterAfterMs': 300_000,
    'liveness.pingIntervalMs': 2_000,
    'liveness.linkTimeoutMs': 10_000,
    'liveness.suspectAfterMs': 12_000,
    'liveness.downAfterMs': 120_000,
    'ufs.connectTimeoutMs': 10_000,
    'ufs.requestTimeoutMs': 60_000,
    'load.windowTasks': 2_048,
    'load.windowBytes': GIB,
  },
};

/** @throws config_invalid when the name is none of {@link PRESET_NAMES}. */
export function presetOf(asked: Sourced | undefined): PresetName {
  if (asked === undefined) return DEFAULT_PRESET;
  const { value, origin } = asked;
  const name = PRESET_NAMES.find((known) => known === value);
  if (name !== undefined) return name;
  const text = printable(String(value));
  const near = nearest(text, PRESET_NAMES);
  const hint =
    near === undefined ? `known are ${PRESET_NAMES.join(', ')}` : `did you mean ${near}?`;
  throw configInvalid(`unknown preset ${text} (${origin}); ${hint}`, { key: 'preset' });
}

export function presetLayer(name: PresetName): Layer {
  const origin = `preset ${name}`;
  return new Map(Object.entries(PRESETS[name]).map(([key, value]) => [key, { value, origin }]));
}
