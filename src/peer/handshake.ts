/**
 * The handshake as HTTP headers: what a caller asks with, what it is challenged with, what it is
 * welcomed with. Values only; what to answer is decided elsewhere.
 *
 * Without a secret: upgrade → 101. With one: upgrade → 401 with a challenge → upgrade with a proof
 * → 101 with the proof of the other side. Nothing is kept of a caller between the two.
 */
import type { ClusterId, PeerId } from '../base/ids.ts';
import { clusterId, peerId } from '../base/ids.ts';
import type { Hello, RemotePeer } from './wire.ts';

export const PEER_PATH = '/v1/peer';
/** The name carries the protocol major. */
export const SUBPROTOCOL = 'ringload.v1';

const HEADER = {
  purpose: 'x-ringload-purpose',
  id: 'x-ringload-peer',
  generation: 'x-ringload-generation',
  instance: 'x-ringload-instance',
  dialNumber: 'x-ringload-dial',
  cluster: 'x-ringload-cluster',
  target: 'x-ringload-target',
  nonce: 'x-ringload-nonce',
  challenge: 'x-ringload-challenge',
  proof: 'x-ringload-proof',
  refused: 'x-ringload-refused',
} as const;
export const REFUSED_HEADER = HEADER.refused;

const NAME = /^[\w.-]{1,128}$/;
const PROOFS_MAX_COUNT = 2;

export type HeaderMap = Readonly<Record<string, string | string[] | undefined>>;
export type HeaderValues = Readonly<Record<string, string>>;

export interface Asked {
  readonly hello: Hello;
  readonly nonce: string;
  /** Undefined in the first of two attempts. */
  readonly answer: { readonly challenge: string; readonly proofs: readonly string[] } | undefined;
}

/** Who challenges: enough to prove oneself to it and nobody else. */
export interface Challenged {
  readonly challenge: string;
  readonly acceptorId: PeerId;
  readonly clusterId: ClusterId;
}

export interface Welcomed {
  readonly remote: RemotePeer;
  readonly clusterId: ClusterId;
  readonly proof: string | undefined;
}

export function askHeaders({ hello, nonce, answer }: Asked): HeaderValues {
  return {
    [HEADER.purpose]: hello.purpose,
    [HEADER.id]: hello.id,
    [HEADER.generation]: String(hello.generation),
    [HEADER.instance]: hello.instance,
    [HEADER.dialNumber]: String(hello.dialNumber),
    [HEADER.nonce]: nonce,
    ...(hello.clusterId === undefined ? {} : { [HEADER.cluster]: hello.clusterId }),
    ...(hello.targetId === undefined ? {} : { [HEADER.target]: hello.targetId }),
    ...(answer === undefined
      ? {}
      : { [HEADER.challenge]: answer.challenge, [HEADER.proof]: answer.proofs.join(' ') }),
  };
}

/** Undefined when a header is missing or malformed. */
export function readAsk(headers: HeaderMap): Asked | undefined {
  const purpose = headers[HEADER.purpose];
  const remote = readRemote(headers);
  const dialNumber = readCount(headers, HEADER.dialNumber);
  const nonce = readName(headers, HEADER.nonce);
  const cluster = readOptional(headers, HEADER.cluster);
  const target = readOptional(headers, HEADER.target);
  const challenge = readOptional(headers, HEADER.challenge);
  if ((purpose !== 'link' && purpose !== 'call') || !remote) return undefined;
  if (nonce === undefined || dialNumber === undefined) return undefined;
  if (cluster === null || target === null || challenge === null) return undefined;
  const proofs = readProofs(headers);
  if ((challenge === undefined) !== (proofs === undefined)) return undefined;
  return {
    hello: {
      ...remote,
      purpose,
      dialNumber,
      clusterId: cluster === undefined ? undefined : clusterId(cluster),
      targetId: target === undefined ? undefined : peerId(target),
    },
    nonce,
    answer: challenge === undefined || !proofs ? undefined : { challenge, proofs },
  };
}

export function challengeHeaders(challenged: Challenged): HeaderValues {
  return {
    [HEADER.challenge]: challenged.challenge,
    [HEADER.id]: challenged.acceptorId,
    [HEADER.cluster]: challenged.clusterId,
  };
}

export function readChallenge(headers: HeaderMap): Challenged | undefined {
  const challenge = readName(headers, HEADER.challenge);
  const id = readName(headers, HEADER.id);
  const cluster = readName(headers, HEADER.cluster);
  if (challenge === undefined || id === undefined || cluster === undefined) return undefined;
  return { challenge, acceptorId: peerId(id), clusterId: clusterId(cluster) };
}

export function welcomeHeaders({ remote, clusterId: cluster, proof }: Welcomed): HeaderValues {
  return {
    [HEADER.id]: remote.id,
    [HEADER.generation]: String(remote.generation),
    [HEADER.instance]: remote.instance,
    [HEADER.cluster]: cluster,
    ...(proof === undefined ? {} : { [HEADER.proof]: proof }),
  };
}

export function readWelcome(headers: HeaderMap): Welcomed | undefined {
  const remote = readRemote(headers);
  const cluster = readName(headers, HEADER.cluster);
  const proof = readOptional(headers, HEADER.proof);
  if (!remote || cluster === undefined || proof === null) return undefined;
  return { remote, clusterId: clusterId(cluster), proof };
}

function readRemote(headers: HeaderMap): RemotePeer | undefined {
  const id = readName(headers, HEADER.id);
  const instance = readName(headers, HEADER.instance);
  const generation = readCount(headers, HEADER.generation);
  if (id === undefined || instance === undefined || generation === undefined) return undefined;
  return { id: peerId(id), generation, instance };
}

function readProofs(headers: HeaderMap): readonly string[] | undefined {
  const text = headers[HEADER.proof];
  if (typeof text !== 'string') return undefined;
  const proofs = text.split(' ');
  const wellFormed = proofs.length <= PROOFS_MAX_COUNT && proofs.every((proof) => NAME.test(proof));
  return wellFormed ? proofs : undefined;
}

function readCount(headers: HeaderMap, name: string): number | undefined {
  const count = Number(readName(headers, name));
  return Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

function readName(headers: HeaderMap, name: string): string | undefined {
  return readOptional(headers, name) ?? undefined;
}

/** Null when present and malformed. */
function readOptional(headers: HeaderMap, name: string): string | undefined | null {
  const value = headers[name];
  if (value === undefined) return undefined;
  return typeof value === 'string' && NAME.test(value) ? value : null;
}
