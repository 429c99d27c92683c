/**
 * A peer among others, over whatever carries its links and keeps its log: its place in the
 * cluster, consensus, and the ring.
 */
import { RingloadError } from '../base/errors.ts';
import type { ClusterId, PeerId } from '../base/ids.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { isPresent, type Announcement } from '../cluster/member.ts';
import type { LivenessConfig, RingloadConfig } from '../config/schema.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus } from '../raft/consensus.ts';
import { createConsensus } from '../raft/create-consensus.ts';
import type { LogStorage } from '../raft/log-storage.ts';
import type { ConsensusStart } from '../raft/options.ts';
import type { Closer } from './closer.ts';
import { FreesInForce } from './frees-in-force.ts';
import type { Identity, Membership } from './identity.ts';
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
import { Proposer } from './proposer.ts';
import { RaftLink } from './raft-link.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { RingView, type LinkView } from './ring-view.ts';
import { ALIVE, answerAlive, refuseTwin, TwinWatch } from './twin-watch.ts';

export interface ClusterParts {
  readonly self: PeerId;
  readonly membership: Membership;
  readonly announcement: Announcement;
  readonly network: PeerNetwork;
  readonly state: ReplicatedState;
  readonly consensus: Consensus;
  readonly proposer: Proposer;
  readonly ring: RingView;
  readonly frees: FreesInForce;
  /** The leader that this peer knows of. */
  readonly leader: () => PeerId | undefined;
  readonly endpointOf: (peer: PeerId) => string | undefined;
  readonly twins: TwinWatch;
}

/** Whom the links of this peer let in. */
export interface LinkRules {
  readonly clusterId: () => ClusterId | undefined;
  readonly isMember: (id: PeerId) => boolean;
  readonly joinRequestTypes: readonly string[];
}

/** What the cluster is formed over: sockets and files in production. */
export interface ClusterGround {
  openLinks(
    rules: LinkRules,
  ): Promise<{ readonly network: PeerNetwork; readonly announcement: Announcement }>;
  openLog(): Promise<LogStorage>;
  /** Durable when it resolves. */
  remember(identity: Identity): Promise<void>;
}

export interface FormOptions {
  readonly config: Pick<RingloadConfig, 'raft' | 'liveness'>;
  /** `host:port` of members to join; none: this peer founds a cluster. */
  readonly joinAddresses: readonly string[];
  readonly local: Pick<LocalParts, 'clock' | 'random' | 'identity' | 'cluster'>;
  readonly ground: ClusterGround;
  /** Fresh. */
  readonly state: ReplicatedState;
  readonly closer: Closer;
  readonly logger: Logger;
  readonly giveUp: AbortSignal;
}

const ADMIT_DEADLINE_MS = 4000;

/** @throws peer_refused, data_dir_foreign, data_corrupt */
export async function formCluster(options: FormOptions): Promise<ClusterParts> {
  const { config, joinAddresses, local, ground, state, closer, logger, giveUp } = options;
  const { clock, random } = local;
  const self = local.identity.peerId;
  const told = { book: new AddressBook(self, []) };
  const { network, announcement } = await ground.openLinks(linkRules(local, state, told));
  answerAlive(network, (id) => state.current.members.get(id)?.state === 'left');
  const known = local.identity.membership;
  if (known) await checkSameCluster(network, joinAddresses, known.clusterId);
  const membership = known ?? (await enter(options, network, announcement, told));
  local.cluster.id = membership.clusterId;

  const raftLink = new RaftLink({ self: membership.raftId, network, state: () => state.current });
  const others = () => told.book.peers([...state.current.members.values()].filter(isPresent));
  const consensus = await createConsensus({
    ...config.raft,
    id: membership.raftId,
    start: startOf(membership),
    storage: await ground.openLog(),
    stateMachine: state,
    transport: raftLink,
    clock,
    random: random(),
    logger,
  });
  closer.add('consensus', () => consensus.stop());
  if (membership.isEntering) await ground.remember(settled(local.identity, membership));
  raftLink.attach(consensus);
  const { linkTimeoutMs } = config.liveness;
  const twinOptions = { self, network, others, linkTimeoutMs, clock };
  await refuseTwin(twinOptions, giveUp);
  const followMembers = (): void => {
    network.setPeers(others());
  };
  followMembers();
  state.onChange(followMembers);
  const twins = new TwinWatch(twinOptions);
  closer.add('watch for twins', () => {
    twins.close();
  });

  const leader = (): PeerId | undefined => {
    const { leaderId } = consensus.status();
    if (leaderId === undefined) return undefined;
    return leaderId === membership.raftId ? self : raftLink.peerOf(leaderId);
  };
  const proposer = new Proposer({ consensus, network, clock, leader, self });
  admitJoiners(network, proposer, state, clock);
  return {
    self,
    membership,
    announcement,
    network,
    state,
    consensus,
    proposer,
    frees: new FreesInForce(self, state),
    ring: new RingView(self, () => state.current, linkView(network, config.liveness, clock)),
    leader,
    endpointOf: (peer) => state.current.members.get(peer)?.dataEndpoint ?? undefined,
    twins,
  };
}

/** A log that is missing where there was one is damage: this peer may have given its vote. */
function startOf({ raftId, isEntering }: Membership): ConsensusStart {
  if (!isEntering) return { kind: 'restart' };
  return raftId === FOUNDER_RAFT_ID ? { kind: 'bootstrap', voters: [raftId] } : { kind: 'join' };
}

function settled(identity: Identity, { clusterId, raftId }: Membership): Identity {
  return { ...identity, membership: { clusterId, raftId } };
}

function linkView(
  network: PeerNetwork,
  { suspectAfterMs }: LivenessConfig,
  clock: Clock,
): LinkView {
  const linkTo = (peer: PeerId) => network.links().find((link) => link.peerId === peer);
  return {
    isConnected: (peer) => linkTo(peer)?.connected === true,
    wasHeardLately: (peer) => {
      const heardMs = linkTo(peer)?.lastHeardMs;
      return heardMs !== undefined && clock.nowMs() - heardMs < suspectAfterMs;
    },
  };
}

function linkRules(
  local: FormOptions['local'],
  state: ReplicatedState,
  told: { readonly book: AddressBook },
): LinkRules {
  return {
    clusterId: () => local.cluster.id,
    isMember: (id) => {
      const member = state.current.members.get(id);
      if (member) return isPresent(member);
      // Why anybody of the cluster: a peer that ended before it heard of any member knows none.
      const isBlank = state.current.members.size === 0 && local.identity.membership !== undefined;
      return isBlank || told.book.knows(id);
    },
    joinRequestTypes: [JOIN, ALIVE],
  };
}

/** Founds a cluster or joins one, and remembers it before anything is answered in its name. */
async function enter(
  { local, joinAddresses, ground, logger, giveUp }: FormOptions,
  network: PeerNetwork,
  announcement: Announcement,
  told: { book: AddressBook },
): Promise<Membership> {
  let membership: Membership = { ...found(), isEntering: true };
  if (joinAddresses.length > 0) {
    const reply = await join({
      network,
      addresses: joinAddresses,
      announcement,
      clock: local.clock,
      logger,
      signal: giveUp,
    });
    membership = { clusterId: reply.clusterId, raftId: reply.raftId, isEntering: true };
    told.book = new AddressBook(local.identity.peerId, reply.members);
  }
  await ground.remember({ ...local.identity, membership });
  return membership;
}

function admitJoiners(
  network: PeerNetwork,
  proposer: Proposer,
  state: ReplicatedState,
  clock: Clock,
): void {
  network.onRequest(JOIN, async (from, payload): Promise<JoinReply> => {
    if ((payload as Partial<Announcement>).id !== from)
      throw new RingloadError('forbidden', `peer ${from} asks in the name of another one`);
    const command = {
      kind: 'member.admit',
      member: payload as Announcement,
      atMs: clock.wallMs(),
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
