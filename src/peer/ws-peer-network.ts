/** Puts the links of a peer on real sockets: the production form of `PeerNetwork`. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../base/clock.ts';
import type { ClusterId, PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { silentLogger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import { createPeerCounters } from './counters.ts';
import type { PeerCounters } from './counters.ts';
import { resolvePeerLimits } from './limits.ts';
import type { PeerLimits } from './limits.ts';
import { PeerLinks } from './peer-links.ts';
import type { PeerLinksOptions } from './peer-links.ts';
import type { PeerIdentity } from './peer-network.ts';
import { importSecrets } from './proof.ts';
import { SocketSet } from './socket-set.ts';
import { WsAcceptor } from './ws-acceptor.ts';
import { WsDialler } from './ws-dialler.ts';

export interface PeerNetworkOptions {
  readonly identity: PeerIdentity;
  /** Asked whenever it matters: undefined until this peer has joined. */
  readonly clusterId: () => ClusterId | undefined;
  /** Whether the cluster knows a peer: only members get a link. */
  readonly isMember: (id: PeerId) => boolean;
  /** What a caller may request before it is a member. Default: nothing. */
  readonly joinRequestTypes?: readonly string[];
  /**
   * The secret of the cluster, at least 16 bytes, and while it is being changed a second valid
   * one. None: every caller is believed, which only suits loopback.
   */
  readonly secrets?: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
  readonly limits?: Partial<PeerLimits>;
}

type Acceptor = Pick<WsAcceptor, 'attach' | 'detach' | 'handleUpgrade'>;

/** @throws config_invalid for secrets or limits that cannot be used. */
export function createPeerNetwork(options: PeerNetworkOptions): WsPeerNetwork {
  const limits = resolvePeerLimits(options.limits);
  const secrets = importSecrets(options.secrets ?? []);
  const sockets = new SocketSet();
  const counters = createPeerCounters();
  const { clock, clusterId, identity } = options;
  const instance = randomBytes(16).toString('base64url');
  const shared = { clock, clusterId, limits, counters, sockets, secrets };
  return new WsPeerNetwork(
    {
      identity,
      instance,
      clusterId,
      isMember: options.isMember,
      joinRequestTypes: options.joinRequestTypes ?? [],
      clock,
      random: options.random,
      logger: options.logger ?? silentLogger,
      limits,
      counters,
      dialler: new WsDialler(shared),
    },
    sockets,
    (admission) => new WsAcceptor({ ...shared, self: { ...identity, instance }, admission }),
  );
}

export class WsPeerNetwork extends PeerLinks {
  readonly counters: Readonly<PeerCounters>;
  readonly #acceptor: Acceptor;
  readonly #sockets: SocketSet;

  constructor(
    options: PeerLinksOptions,
    sockets: SocketSet,
    createAcceptor: (admission: PeerLinks) => Acceptor,
  ) {
    super(options);
    this.counters = options.counters;
    this.#sockets = sockets;
    this.#acceptor = createAcceptor(this);
  }

  /** Takes the upgrades of `server` on `/v1/peer`, until `close`. */
  attach(server: Server): void {
    this.#acceptor.attach(server);
  }

  /** For servers that dispatch upgrades themselves; false: not our path, socket untouched. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    return this.#acceptor.handleUpgrade(request, socket, head);
  }

  /** Resolves when every socket is closed, within about half a second. */
  override async close(): Promise<void> {
    await super.close();
    await this.#sockets.drained();
    this.#acceptor.detach();
  }
}
