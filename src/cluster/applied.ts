/** What applying a command gives: the next state, and the answer for whoever proposed it. */
import { RingloadError, toWireError, type ErrorCode } from '../base/errors.ts';
import type { ClusterState } from './cluster-state.ts';
import type { CommandResult } from './commands.ts';

export interface Applied {
  readonly state: ClusterState;
  readonly result: CommandResult;
}

export function done(state: ClusterState, value: unknown): Applied {
  return { state, result: { ok: true, value } };
}

export function refuse(state: ClusterState, code: ErrorCode, message: string): Applied {
  return { state, result: { ok: false, error: toWireError(new RingloadError(code, message)) } };
}
