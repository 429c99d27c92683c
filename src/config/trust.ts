/** Rules of exposure: which addresses may be listened on, and with which secret. */
import { configInvalid } from './layer.ts';
import type { PeerConfig } from './schema.ts';

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
