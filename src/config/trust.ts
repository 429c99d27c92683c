/** Rules of exposure: which addresses may be listened on, and with which secret. */
import { configInvalid } from './layer.ts';
import type { PeerConfig, RingloadConfig } from './schema.ts';
import type { ConfigSecrets } from './secrets.ts';

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

export function isWildcard(host: string): boolean {
  return /^0(?:\.0){0,3}$/.test(host) || /^[0:]*:[0:]*$/.test(host);
}

/**
 * What the other peers are told. Under a wildcard only the operator knows.
 * @throws config_invalid
 */
export function advertisedHost(peer: Pick<PeerConfig, 'host' | 'advertiseHost'>): string {
  const host = peer.advertiseHost === '' ? peer.host : peer.advertiseHost;
  if (!isWildcard(host)) return host;
  throw configInvalid(
    `peer.advertiseHost is needed, since no peer can connect to ${host}: give the name or address of this host`,
    { key: 'peer.advertiseHost' },
  );
}

/** @throws config_invalid when others could reach an unprotected peer. */
export function checkExposure(host: string, hasSecret: boolean, insecure: boolean): void {
  if (isLoopback(host) || hasSecret || insecure) return;
  throw configInvalid(
    `peer.host ${host} is not loopback and there is no cluster secret: set cluster.secretFile or RINGLOAD_CLUSTER_SECRET, or accept it with --insecure`,
    { key: 'peer.host' },
  );
}

type S3Exposure = Pick<RingloadConfig, 's3' | 'peer' | 'cluster'>;

/**
 * Whether the S3 endpoint may be open: whoever reaches it has to prove a key pair, unless nobody
 * but this machine reaches it, or everybody may.
 */
export function opensS3({ s3, cluster }: S3Exposure, { s3AccessKeys }: ConfigSecrets): boolean {
  return s3.enabled && (isLoopback(s3.host) || s3AccessKeys.size > 0 || cluster.insecure);
}

/** Whether requests without a signature are answered. */
export function allowsAnonymousS3(
  { s3, cluster }: S3Exposure,
  { s3AccessKeys }: ConfigSecrets,
): boolean {
  if (s3.anonymous !== 'auto') return s3.anonymous === 'allow';
  return s3AccessKeys.size === 0 && (isLoopback(s3.host) || cluster.insecure);
}

/** @throws config_invalid when an address was chosen for S3 clients that none may use. */
export function checkS3Exposure(config: S3Exposure, secrets: ConfigSecrets): void {
  const { s3, peer } = config;
  if (!s3.enabled || s3.host === peer.host || opensS3(config, secrets)) return;
  throw configInvalid(
    `s3.host ${s3.host} is not loopback and there are no key pairs: set s3.accessKeysFile or RINGLOAD_S3_ACCESS_KEYS, or accept it with --insecure`,
    { key: 's3.host' },
  );
}
