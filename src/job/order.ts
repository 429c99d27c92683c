/** What an owner was ordered: one pass of one run of a job, by one leader. */
import type { PeerId } from '../base/ids.ts';
import type { PassRef } from './protocol.ts';
import type { ResultOutbox } from './result-outbox.ts';
import type { TaskSignals } from './task-signals.ts';

export interface Order {
  readonly pass: PassRef;
  readonly leader: PeerId;
  /** Ends all work of the run, of this order and of those before it. */
  readonly signals: TaskSignals;
  readonly outbox: ResultOutbox;
  /** Id of its first task: an order with a lower one was given before. */
  readonly firstTaskId: number;
  /** Nobody waits for its results: what runs may end, what waits is dropped. */
  abandoned: boolean;
  pendingCount: number;
}
