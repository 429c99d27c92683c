/** A peer among others: its links, its place in the cluster, consensus, and the ring. */
import { createServer, type Server } from 'node:http';
import { join as joinPath } from 'node:path';
import { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { isPresent, type Announcement } from '../cluster/member.ts';
import type { LivenessConfig } from '../config/schema.ts';
import { advertisedHost } from '../config/trust.ts';
import { answerClientError, answerWhileStarting, SERVER_OPTIONS } from '../http/server.ts';
import { createPeerNetwork, type WsPeerNetwork } from '../peer/ws-peer-network.ts';
import type { Consensus } from '../raft/consensus.ts';
import { createConsensus } from '../raft/create-consensus.ts';
import type { ConsensusStart } from '../raft/options.ts';
import { openFileLogStorage } from '../raft/io/file-log-storage.ts';
import type { Closer } from './closer.ts';
import { writeIdentity, type Identity, type Membership } from './identity.ts';
import { closerOf, listen, portOf } from './listen.ts';
import type { LocalParts } from './local-parts.ts';
import {
  AddressBook,
  checkSameCluster,
  found,
  FOUNDER_RAFT_ID,
  join,
  JOIN,
  type JoinReply,
} from './membership.ts';
import type { NodeOptions } from './node-options.ts';
import { Proposer } from './proposer.ts';
import { RaftLink } from './raft-link.ts';
import { ReplicatedState } from './replicated-state.ts';
import { RingView, type LinkView } from './ring-view.ts';
import { systemClock, systemRandom } from './system.ts';

export interface ClusterParts {
  readonly self: PeerId;
  readonly membership: Membership;
  readonly announcement: Announcement;
  readonly rest: Server;
  readonly network: WsPeerNetwork;
  readonly state: ReplicatedState;
  readonly consensus: Consensus;
  readonly proposer: Proposer;
  readonly ring: RingView;
  /** The leader that this peer knows of. */
  readonly leader: () => PeerId | undefined;
  readonly endpointOf: (peer: PeerId) => string | undefined;
}

/** Answers in flight when the port closes may take so long. */
const DRAIN_GRACE_MS = 5000;
const ADMIT_DEADLINE_MS = 4000;

type Context = NodeOptions & {
  readonly local: LocalParts;
  readonly closer: Closer;
  readonly logger: Logger;
};

/** @throws address_in_use, peer_refused, data_corrupt */
export async function openClusterParts(context: Context): Promise<ClusterParts> {
  const { local, closer, logger, loaded } = context;
  const { config } = loaded;
  const self = local.identity.peerId;
  const state = new ReplicatedState();
  const told: { book: AddressBook } = { book: new AddressBook(self, []) };
  const network = openLinks(context, state, told);
  const rest = await openRestPort(context, network);
  const announcement = announcementOf(context, rest);
  const known = local.identity.membership;
  if (known) await checkSameCluster(network, config.peer.join, known.clusterId);
  const membership = known ?? (await enter(context, network, announcement, told));
  local.cluster.id = membership.clusterId;

  const raftLink = new RaftLink({ self: membership.raftId, network, state: () => state.current });
  const followMembers = (): void => {
    network.setPeers(told.book.peers([...state.current.members.values()].filter(isPresent)));
  };
  const consensus = await createConsensus({
    ...config.raft,
    id: membership.raftId,
    start: startOf(membership),
    storage: await openFileLogStorage(joinPath(config.peer.dataDir, 'raft'), logger),
    stateMachine: state,
    transport: raftLink,
    clock: systemClock,
    random: systemRandom(),
    logger,
  });
  closer.add('consensus', () => consensus.stop());
  if (membership.isEntering) await writeIdentity(config.peer.dataDir, settled(local, membership));
  raftLink.attach(consensus);
  followMembers();
  state.onChange(followMembers);

  const leader = (): PeerId | undefined => {
    const { leaderId } = consensus.status();
    if (leaderId === undefined) return undefined;
    return leaderId === membership.raftId ? self : raftLink.peerOf(leaderId);
  };
  const proposer = new Proposer({ consensus, network, clock: systemClock, leader, self });
  admitJoiners(network, proposer, state);
  return {
    self,
    membership,
    announcement,
    rest,
    network,
    state,
    consensus,
    proposer,
    ring: new RingView(self, () => state.current, linkView(network, config.liveness)),
    leader,
    endpointOf: (peer) => state.current.members.get(peer)?.dataEndpoint ?? undefined,
  };
}

/** A log that is missing where there was one is damage: this peer may have given its vote. */
function startOf({ raftId, isEntering }: Membership): ConsensusStart {
  if (!isEntering) return { kind: 'restart' };
  return raftId === FOUNDER_RAFT_ID ? { kind: 'bootstrap', voters: [raftId] } : { kind: 'join' };
}

function settled({ identity }: LocalParts, { clusterId, raftId }: Membership): Identity {
  return { ...identity, membership: { clusterId, raftId } };
}

function linkView(network: WsPeerNetwork, { suspectAfterMs }: LivenessConfig): LinkView {
  const linkTo = (peer: PeerId) => network.links().find((link) => link.peerId === peer);
  return {
    isConnected: (peer) => linkTo(peer)?.connected === true,
    wasHeardLately: (peer) => {
      const heardMs = linkTo(peer)?.lastHeardMs;
      return heardMs !== undefined && systemClock.nowMs() - heardMs < suspectAfterMs;
    },
  };
}

function openLinks(
  context: Context,
  state: ReplicatedState,
  told: { readonly book: AddressBook },
): WsPeerNetwork {
  const { local, loaded, logger, closer } = context;
  const { secrets, config } = loaded;
  const network = createPeerNetwork({
    identity: { id: local.identity.peerId, generation: local.identity.generation },
    clusterId: () => local.cluster.id,
    isMember: (id) => {
      const member = state.current.members.get(id);
      if (member) return isPresent(member);
      // Why anybody of the cluster: a peer that ended before it heard of any member knows none.
      const isBlank = state.current.members.size === 0 && local.identity.membership !== undefined;
      return isBlank || told.book.knows(id);
    },
    joinRequestTypes: [JOIN],
    secrets: [secrets.clusterSecret, secrets.previousClusterSecret].filter(
      (secret) => secret !== undefined,
    ),
    clock: systemClock,
    random: systemRandom(),
    logger,
    limits: {
      pingIntervalMs: config.liveness.pingIntervalMs,
      deadAfterMs: config.liveness.linkTimeoutMs,
    },
  });
  closer.add('peer links', () => network.close());
  return network;
}

async function openRestPort(context: Context, network: WsPeerNetwork): Promise<Server> {
  const { http, peer } = context.loaded.config;
  const rest = createServer({
    ...SERVER_OPTIONS,
    headersTimeout: http.headersTimeoutMs,
    requestTimeout: http.requestTimeoutMs,
  });
  rest.on('clientError', answerClientError);
  network.attach(rest);
  rest.on('request', answerWhileStarting);
  const close = closerOf(rest, DRAIN_GRACE_MS);
  await listen(rest, peer.host, peer.restPort);
  context.closer.add('REST port', close);
  return rest;
}

function announcementOf({ local, loaded }: Context, rest: Server): Announcement {
  const { peer } = loaded.config;
  const host = advertisedHost(peer);
  return {
    id: local.identity.peerId,
    address: `${host}:${String(portOf(rest))}`,
    dataEndpoint: `http://${host}:${String(local.dataServer.port)}`,
    weight: peer.weight,
    zone: peer.zone,
    capacityBytes: local.store.usage().capacityBytes,
    generation: local.identity.generation,
  };
}

/** Founds a cluster or joins one, and remembers it before anything is answered in its name. */
async function enter(
  context: Context,
  network: WsPeerNetwork,
  announcement: Announcement,
  told: { book: AddressBook },
): Promise<Membership> {
  const { local, loaded, logger, giveUp } = context;
  const { join: addresses, dataDir } = loaded.config.peer;
  let membership: Membership = { ...found(), isEntering: true };
  if (addresses.length > 0) {
    const reply = await join({
      network,
      addresses,
      announcement,
      clock: systemClock,
      logger,
      signal: giveUp,
    });
    membership = { clusterId: reply.clusterId, raftId: reply.raftId, isEntering: true };
    told.book = new AddressBook(local.identity.peerId, reply.members);
  }
  await writeIdentity(dataDir, { ...local.identity, membership });
  return membership;
}

function admitJoiners(network: WsPeerNetwork, proposer: Proposer, state: ReplicatedState): void {
  network.onRequest(JOIN, async (from, payload): Promise<JoinReply> => {
    if ((payload as Partial<Announcement>).id !== from)
      throw new RingloadError('forbidden', `peer ${from} asks in the name of another one`);
    const command = {
      kind: 'member.admit',
      member: payload as Announcement,
      atMs: systemClock.wallMs(),
    } as const;
    const { raftId } = (await proposer.commit(command, ADMIT_DEADLINE_MS)) as Pick<
      JoinReply,
      'raftId'
    >;
    const { clusterId, members } = state.current;
    if (clusterId === undefined)
      throw new RingloadError('no_leader', 'the cluster is still being founded');
    const present = [...members.values()].filter(isPresent);
    return { clusterId, raftId, members: present.map(({ id, address }) => ({ id, address })) };
  });
}
