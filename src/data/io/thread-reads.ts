/** Reads from other peers whose bytes stay in a serving thread: orders to it, and what it says. */
import { fromWireError, RingloadError } from '../../base/errors.ts';
import type { HeldReads, Piece } from '../pieces.ts';
import type { BodyWatch } from '../peer-segments.ts';
import type { SegmentRequest } from '../segment-request.ts';
import type { FromAnswering, ToAnswering } from './serving/answer-messages.ts';

interface Pending {
  readonly resolve: (lengthBytes: number) => void;
  readonly reject: (error: unknown) => void;
  readonly onAsked: (() => void) | undefined;
}

export class ThreadReads implements HeldReads {
  readonly #token: () => string | undefined;
  readonly #post: (message: ToAnswering) => void;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  constructor(token: () => string | undefined, post: (message: ToAnswering) => void) {
    this.#token = token;
    this.#post = post;
  }

  async open(
    endpoint: string,
    request: SegmentRequest,
    signal: AbortSignal,
    { onAsked, bodyPatienceMs }: BodyWatch = {},
  ): Promise<Piece> {
    signal.throwIfAborted();
    const heldId = ++this.#lastId;
    const token = this.#token();
    const drop = (): void => {
      this.#post({ kind: 'drop', heldId });
    };
    const onAbort = (): void => {
      drop();
      this.#pending.get(heldId)?.reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const length = await new Promise<number>((resolve, reject) => {
        this.#pending.set(heldId, { resolve, reject, onAsked });
        this.#post({
          kind: 'open',
          heldId,
          endpoint,
          request,
          ...(token !== undefined && { token }),
          ...(bodyPatienceMs !== undefined && { bodyPatienceMs }),
        });
      });
      const held = { id: heldId, key: request.key, endpoint, token };
      return { length, held, chunks: inThread, close: drop };
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#pending.delete(heldId);
    }
  }

  hear(message: Extract<FromAnswering, { kind: 'asked' | 'opened' | 'refused' }>): void {
    const pending = this.#pending.get(message.heldId);
    if (message.kind === 'asked') pending?.onAsked?.();
    else if (message.kind === 'opened') pending?.resolve(message.lengthBytes);
    else pending?.reject(fromWireError(message.error));
  }

  /** The thread is gone, with everything that it read. */
  lost(): void {
    for (const { reject } of this.#pending.values())
      reject(new RingloadError('peer_unreachable', 'the thread that read from it broke'));
  }
}

function inThread(): never {
  throw new RingloadError('internal', 'the bytes are in another thread');
}
