/**
 * Transient links: one dial, one request, closed. For joiners, which have no link yet, and for
 * addresses whose peer is not known. They never count as the link of a pair.
 */
import type { Clock } from '../base/clock.ts';
import { RingloadError } from '../base/errors.ts';
import type { PeerCounters } from './counters.ts';
import { countRefusal } from './counters.ts';
import type { PeerLimits } from './limits.ts';
import { refusalOf } from './refusal.ts';
import type { LinkSession, SessionRole } from './session.ts';
import type { Dialler, Hello, RemotePeer, Wire } from './wire.ts';

export interface CallsOptions {
  readonly clock: Clock;
  readonly limits: PeerLimits;
  readonly counters: PeerCounters;
  readonly dialler: Dialler;
  readonly hello: () => Hello;
  readonly startSession: (remote: RemotePeer, wire: Wire, role: SessionRole) => LinkSession;
  /** Whether a caller may send requests of a type. */
  readonly mayRequest: (caller: Hello, type: string) => boolean;
}

export class Calls {
  readonly #options: CallsOptions;
  /** Calls of our own that are still being dialled. */
  readonly #aborts = new Set<() => void>();
  #acceptedCount = 0;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#acceptedCount >= this.#options.limits.callsMax;
  }

  accept(hello: Hello, wire: Wire): void {
    this.#acceptedCount++;
    this.#options.startSession(hello, wire, {
      purpose: 'call',
      dialledBySelf: false,
      dialNumber: hello.dialNumber,
      mayRequest: (type) => this.#options.mayRequest(hello, type),
      mayMessage: false,
    });
  }

  sessionEnded(session: LinkSession): void {
    if (!session.dialledBySelf) this.#acceptedCount--;
  }

  /** @throws peer_unreachable, peer_refused, deadline_exceeded, or the handler's error. */
  async request(
    address: string,
    type: string,
    payload: unknown,
    deadlineMs: number,
  ): Promise<unknown> {
    const { clock } = this.#options;
    const dueMs = clock.nowMs() + deadlineMs;
    const session = await this.#open(address, deadlineMs);
    try {
      return await session.request(type, payload, Math.max(0, dueMs - clock.nowMs()));
    } finally {
      session.close('closed');
    }
  }

  abortAll(): void {
    for (const abort of [...this.#aborts]) abort();
  }

  /** An open link to whoever answers, no later than the caller would wait. */
  #open(address: string, deadlineMs: number): Promise<LinkSession> {
    const { clock, counters, dialler, hello, startSession } = this.#options;
    counters.dials++;
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        timer.cancel();
        this.#aborts.delete(abort);
      };
      const giveUp = (error: RingloadError): void => {
        finish();
        dial.abort();
        reject(error);
      };
      const abort = (): void => {
        giveUp(
          new RingloadError('peer_unreachable', `reach ${address}: this peer is closing`, {
            details: { address },
          }),
        );
      };
      const timer = clock.setTimer(deadlineMs, () => {
        giveUp(
          new RingloadError('deadline_exceeded', `reach ${address}: not within ${deadlineMs} ms`),
        );
      });
      this.#aborts.add(abort);
      const said = hello();
      const dial = dialler.dial(
        { address, hello: said },
        {
          onOpen: (remote, wire) => {
            finish();
            resolve(startSession(remote, wire, { ...CALLER, dialNumber: said.dialNumber }));
          },
          onFailure: (error) => {
            finish();
            this.#countFailure(error);
            reject(error);
          },
        },
      );
    });
  }

  #countFailure(error: RingloadError): void {
    const { counters } = this.#options;
    const refusal = refusalOf(error);
    counters.dialFailures++;
    if (refusal !== undefined) countRefusal(counters.refusedDials, refusal);
  }
}

/** Whom we call may answer, nothing else. */
const CALLER: Omit<SessionRole, 'dialNumber'> = {
  purpose: 'call',
  dialledBySelf: true,
  mayRequest: () => false,
  mayMessage: false,
};
