/** One request while it is answered. */
import type { HeldReads } from '../data/pieces.ts';
import type { Caller } from './authenticator.ts';
import type { HeaderMap } from './message.ts';
import type { Target } from './target.ts';

export interface Call {
  readonly method: string;
  readonly target: Target;
  readonly headers: HeaderMap;
  readonly caller: Caller;
  readonly body: AsyncIterable<Uint8Array> | undefined;
  readonly via: HeldReads | undefined;
}
