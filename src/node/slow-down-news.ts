/** Tells every other member that an under store asks to slow down, and hears it from them. */
import type { SlowDown } from '../data/slow-down.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';

const SLOW_DOWN = 'ufs.slow-down';

/** @returns what is to be called when an under store complains to this peer. */
export function shareSlowDown(slowDown: SlowDown, network: PeerNetwork): () => void {
  network.onMessage(SLOW_DOWN, () => {
    slowDown.complain();
  });
  return () => {
    if (!slowDown.complain()) return;
    for (const { peerId, connected } of network.links()) {
      if (connected) network.send(peerId, SLOW_DOWN, null);
    }
  };
}
