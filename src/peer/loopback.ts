/** A peer's link to itself, so that callers need not ask whether the owner of a key is nearby. */
import { createPeerCounters } from './counters.ts';
import { createWirePair } from './memory-wire.ts';
import type { Parcel } from './memory-wire.ts';
import { LinkSession } from './session.ts';
import type { SessionContext } from './session.ts';
import type { RemotePeer } from './wire.ts';

/** The end that asks; it has the same bounds and error rules as a link over the network. */
export function createLoopback(self: RemotePeer, context: SessionContext): LinkSession {
  // Why: what never leaves the process is not traffic.
  const quiet: SessionContext = { ...context, counters: createPeerCounters() };
  const end = {
    limits: context.limits,
    counters: quiet.counters,
    carrier: (parcel: Parcel) => {
      queueMicrotask(() => {
        parcel.leave();
        parcel.arrive();
      });
    },
  };
  const [asking, answering] = createWirePair(end, end);
  const shared = {
    remote: self,
    purpose: 'link',
    mayRequest: () => true,
    mayMessage: true,
    context: quiet,
    dialNumber: 0,
    onFirstFrame: () => undefined,
    onEnd: () => undefined,
  } as const;
  new LinkSession({ ...shared, wire: answering, dialledBySelf: false });
  return new LinkSession({ ...shared, wire: asking, dialledBySelf: true });
}
