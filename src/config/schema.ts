/**
 * Every option, once: type, range, default, unit and description. Names of flags and environment
 * variables, the reference page and the types of the slices all follow from here.
 *
 * Relations between options are in `relations.ts`; where values come from is in `load.ts`. Times
 * are milliseconds and sizes bytes, in the option's name and in memory alike.
 */
import { z } from 'zod';
import { cache, lanes, load, ufs } from './schema-data.ts';
import { cluster, http, liveness, log, peer, raft, s3, worker } from './schema-node.ts';

export const configSchema = z.strictObject({
  peer,
  cluster,
  raft,
  liveness,
  cache,
  lanes,
  ufs,
  load,
  http,
  s3,
  worker,
  log,
});

/** Heads of the sections on the reference page. */
export const SECTION_TITLES: Readonly<Record<keyof typeof configSchema.shape, string>> = {
  peer: 'This process: its directory, addresses and place on the ring.',
  cluster: 'Trust between peers.',
  raft: 'Consensus.',
  liveness: 'When a silent peer is suspect, and when it is down.',
  cache: 'Where segments are kept.',
  lanes: 'Threads that move bulk bytes.',
  ufs: 'Under file systems: what may be read, and how patiently.',
  load: 'Load jobs: defaults of a request, and bounds of the scheduler.',
  http: 'Bounds of the REST API.',
  s3: 'The endpoint for S3 clients.',
  worker: "The port for Alluxio's Python clients.",
  log: 'Log lines on stderr.',
};

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** All values as parsed, secrets included: never leaves this folder. */
export type ParsedConfig = z.infer<typeof configSchema>;

/** The configuration of a peer: complete, checked, deeply frozen, without any secret. */
export type RingloadConfig = DeepReadonly<
  Omit<ParsedConfig, 'cluster' | 's3'> & {
    cluster: Omit<ParsedConfig['cluster'], 'secret' | 'previousSecret'>;
    s3: Omit<ParsedConfig['s3'], 'accessKeys'>;
  }
>;

export type PeerConfig = RingloadConfig['peer'];
export type ClusterConfig = RingloadConfig['cluster'];
export type RaftConfig = RingloadConfig['raft'];
export type LivenessConfig = RingloadConfig['liveness'];
export type CacheConfig = RingloadConfig['cache'];
export type LanesConfig = RingloadConfig['lanes'];
export type UfsConfig = RingloadConfig['ufs'];
export type MountOptions = UfsConfig['mounts'][number];
export type LoadJobConfig = RingloadConfig['load'];
export type HttpConfig = RingloadConfig['http'];
export type S3Config = RingloadConfig['s3'];
export type LogConfig = RingloadConfig['log'];
