/** A peer among others, over real sockets and files: its ports, its links, its place. */
import type { Server } from 'node:http';
import type { Logger } from '../base/logger.ts';
import type { Announcement } from '../cluster/member.ts';
import { advertisedHost } from '../config/trust.ts';
import { createPeerNetwork, type WsPeerNetwork } from '../peer/ws-peer-network.ts';
import { openFileLogStorage } from '../raft/io/file-log-storage.ts';
import type { Closer } from './closer.ts';
import { formCluster, type ClusterParts, type LinkRules } from './form-cluster.ts';
import { raftFolder, writeIdentity } from './identity.ts';
import { closerOf, listen, portOf } from './listen.ts';
import type { LocalParts, OpenedLocalParts } from './local-parts.ts';
import type { NodeOptions } from './node-options.ts';
import { ReplicatedState } from './replicated-state.ts';
import { RestPort } from './rest-port.ts';

/** Answers in flight when the port closes may take so long. */
const DRAIN_GRACE_MS = 5000;

type Context = NodeOptions & {
  readonly local: OpenedLocalParts;
  readonly closer: Closer;
  readonly logger: Logger;
};

/** @throws address_in_use, peer_refused, data_corrupt */
export async function openClusterParts(
  context: Context,
): Promise<ClusterParts & { readonly rest: RestPort }> {
  const { config } = context.loaded;
  const { dataDir, join: joinAddresses } = config.peer;
  const opened: { rest?: RestPort } = {};
  const ground = {
    openLinks: async (rules: LinkRules) => {
      const network = openLinks(context, rules);
      const rest = await openRestPort(context, network);
      opened.rest = rest;
      return { network, announcement: announcementOf(context, rest.server) };
    },
    openLog: () => openFileLogStorage(raftFolder(dataDir), context.logger),
    remember: (identity: LocalParts['identity']) => writeIdentity(dataDir, identity),
  };
  const state = new ReplicatedState();
  const parts = await formCluster({ ...context, config, joinAddresses, ground, state });
  return { ...parts, rest: opened.rest as RestPort };
}

function openLinks(context: Context, rules: LinkRules): WsPeerNetwork {
  const { local, loaded, logger, closer } = context;
  const { secrets, config } = loaded;
  const network = createPeerNetwork({
    ...rules,
    identity: { id: local.identity.peerId, generation: local.identity.generation },
    secrets: [secrets.clusterSecret, secrets.previousClusterSecret].filter(
      (secret) => secret !== undefined,
    ),
    clock: local.clock,
    random: local.random(),
    logger,
    limits: {
      pingIntervalMs: config.liveness.pingIntervalMs,
      deadAfterMs: config.liveness.linkTimeoutMs,
    },
  });
  closer.add('peer links', () => network.close());
  return network;
}

async function openRestPort(context: Context, network: WsPeerNetwork): Promise<RestPort> {
  const { http, peer } = context.loaded.config;
  const { local, metrics } = context;
  const rest = new RestPort({
    http,
    descriptors: local.descriptors,
    onRefused: () => {
      metrics.connectionRefused('rest');
    },
  });
  network.attach(rest.server);
  const close = closerOf(rest.server, DRAIN_GRACE_MS);
  await listen(rest.server, peer.host, peer.restPort);
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
