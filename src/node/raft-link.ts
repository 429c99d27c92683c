/** Raft messages over peer links: finds the peer behind a Raft number, learns it from senders. */
import { raftId as asRaftId, type PeerId, type RaftId } from '../base/ids.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { Consensus, RaftTransport } from '../raft/consensus.ts';

const MESSAGE = 'raft';
/** Snapshots are answered, so that the leader knows whether they arrived. */
const SNAPSHOT = 'raft.snapshot';
const SNAPSHOT_DEADLINE_MS = 30_000;

interface RaftFrame {
  readonly from: number;
  readonly message: string;
}

export class RaftLink implements RaftTransport {
  readonly #self: RaftId;
  readonly #network: PeerNetwork;
  readonly #state: () => ClusterState;
  /** Members that spoke before this peer's state knew them: a joiner knows nobody. */
  readonly #heard = new Map<RaftId, PeerId>();
  #consensus: Consensus | undefined;

  constructor(options: { self: RaftId; network: PeerNetwork; state: () => ClusterState }) {
    this.#self = options.self;
    this.#network = options.network;
    this.#state = options.state;
    options.network.onMessage(MESSAGE, (from, payload) => {
      this.#receive(from, payload);
    });
    options.network.onRequest(SNAPSHOT, (from, payload) => {
      this.#receive(from, payload);
      return Promise.resolve(null);
    });
  }

  attach(consensus: Consensus): void {
    this.#consensus = consensus;
  }

  send(to: RaftId, message: string, onSnapshotOutcome?: (delivered: boolean) => void): void {
    const peer = this.peerOf(to);
    const frame: RaftFrame = { from: this.#self, message };
    if (peer === undefined) {
      onSnapshotOutcome?.(false);
    } else if (onSnapshotOutcome) {
      this.#network.request(peer, SNAPSHOT, frame, SNAPSHOT_DEADLINE_MS).then(
        () => {
          onSnapshotOutcome(true);
        },
        () => {
          onSnapshotOutcome(false);
        },
      );
    } else if (!this.#network.send(peer, MESSAGE, frame)) {
      this.#consensus?.reportUnreachable(to);
    }
  }

  peerOf(id: RaftId): PeerId | undefined {
    for (const member of this.#state().members.values()) {
      if (member.raftId === id) return member.id;
    }
    return this.#heard.get(id);
  }

  #receive(from: PeerId, payload: unknown): void {
    if (!isRaftFrame(payload)) return;
    this.#heard.set(asRaftId(payload.from), from);
    this.#consensus?.receive(payload.message);
  }
}

function isRaftFrame(payload: unknown): payload is RaftFrame {
  if (typeof payload !== 'object' || payload === null) return false;
  const { from, message } = payload as Partial<RaftFrame>;
  return typeof from === 'number' && typeof message === 'string';
}
