import type { AnswerWatch } from '../../src/ufs/under-store.ts';

/** Waits so long for everything, and then for a byte of a body. */
export function patientWatch(deadlineMs: number): AnswerWatch {
  return {
    connectTimeoutMs: deadlineMs,
    headTimeoutMs: deadlineMs,
    windowMs: deadlineMs,
    minBytesPerWindow: 1,
    bodyTimeoutMs: deadlineMs,
  };
}
