/**
 * Finds out what the members say of this peer while they do not link to it: that it was removed, or
 * that another process runs under its id, because a data directory was copied and both were started.
 *
 * The other members can tell: they have a live link to that id, and it is not this process. A start
 * asks them before it links to anybody, because a later start would be taken for the same peer
 * come back, and displace the one that runs. A peer that runs asks those who do not link to it any
 * more: the other one may have come while this one was cut off, or it was removed meanwhile, and
 * nobody would ever tell it, for links are for members.
 *
 * A link may outlive its process by the time after which silence ends it (a power cut closes
 * nothing), so only what lasts longer is a twin.
 */
import { sleep, type Clock, type Timer } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { PeerAddress, PeerNetwork } from '../peer/peer-network.ts';

export const ALIVE = 'cluster.alive';
const DEADLINE_MS = 1000;
const POLL_MS = 250;
const WATCH_MS = 2000;

interface AliveReply {
  readonly alive: boolean;
  /** The peer has left the cluster for good. */
  readonly left: boolean;
}

/** Answers whether the id that asks has a live link to this peer. */
export function answerAlive(network: PeerNetwork, hasLeft: (id: PeerId) => boolean): void {
  network.onRequest(ALIVE, (from): Promise<AliveReply> => {
    const link = network.links().find(({ peerId }) => peerId === from);
    return Promise.resolve({ alive: link?.connected === true, left: hasLeft(from) });
  });
}

export interface TwinOptions {
  readonly self: PeerId;
  readonly network: PeerNetwork;
  /** The other members, as this peer knows them. */
  readonly others: () => readonly PeerAddress[];
  /** Silence after which a link is closed. */
  readonly linkTimeoutMs: number;
  readonly clock: Clock;
}

/**
 * To be called before any link is asked for.
 * @throws data_dir_foreign when another process is this peer for longer than a dead one would be
 */
export async function refuseTwin(options: TwinOptions, signal: AbortSignal): Promise<void> {
  const { self, clock } = options;
  const untilMs = clock.nowMs() + patienceMs(options);
  while ((await askUnlinked(options)).some(({ alive }) => alive)) {
    if (clock.nowMs() >= untilMs) throw twinError(self);
    await sleep(clock, POLL_MS, signal);
  }
}

/** Looks now and then, for as long as this peer runs. */
export class TwinWatch {
  readonly #options: TwinOptions;
  #timer: Timer | undefined;
  #closed = false;
  #sinceMs: number | undefined;
  #find: (error: RingloadError) => void = () => undefined;

  /** Resolves when another process is this peer: this one must end. */
  readonly found = new Promise<RingloadError>((resolve) => {
    this.#find = resolve;
  });

  #leave: () => void = () => undefined;

  /** Resolves when the cluster has removed this peer. */
  readonly left = new Promise<void>((resolve) => {
    this.#leave = resolve;
  });

  constructor(options: TwinOptions) {
    this.#options = options;
    this.#next();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #next(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.setTimer(WATCH_MS, () => {
      void this.#look().then(() => {
        this.#next();
      });
    });
  }

  async #look(): Promise<void> {
    const { clock, self } = this.#options;
    const replies = await askUnlinked(this.#options);
    if (replies.some(({ left }) => left)) this.#leave();
    if (!replies.some(({ alive }) => alive)) {
      this.#sinceMs = undefined;
      return;
    }
    const nowMs = clock.nowMs();
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs >= patienceMs(this.#options)) this.#find(twinError(self));
  }
}

function patienceMs({ linkTimeoutMs }: TwinOptions): number {
  return 2 * linkTimeoutMs + WATCH_MS;
}

/** What those say to whom this process has no link; who cannot be asked says nothing. */
async function askUnlinked({ network, others }: TwinOptions): Promise<AliveReply[]> {
  const linked = network.links().filter(({ connected }) => connected);
  const unlinked = others().filter(({ id }) => !linked.some(({ peerId }) => peerId === id));
  const replies = await Promise.all(
    unlinked.map(({ address }) =>
      network.requestAt(address, ALIVE, null, DEADLINE_MS).catch(() => null),
    ),
  );
  return replies.filter((reply): reply is AliveReply => reply !== null);
}

function twinError(self: PeerId): RingloadError {
  const message = `another process runs as peer ${self}: this data directory is a copy of its own, or the reverse`;
  return new RingloadError('data_dir_foreign', message);
}
