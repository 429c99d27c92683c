/**
 * Errors as clients see them: RFC 9457 documents with a stable `code`. The only place where an
 * error becomes a status. Stacks, and messages of errors we did not classify, stay in the log.
 */
import { STATUS_CODES } from 'node:http';
import {
  RingloadError,
  toRingloadError,
  type ErrorCode,
  type ErrorDetails,
} from '../base/errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';
/** Seconds a client should wait before it tries a 429 or 503 again. */
export const RETRY_AFTER_S = 1;

export interface Problem {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly requestId: string;
  readonly details?: ErrorDetails;
}

/** A request refused by HTTP's own rules, with a status finer than its code's. */
export class RefusedRequest extends RingloadError {
  readonly #httpStatus: number;

  constructor(httpStatus: number, code: ErrorCode, message: string) {
    super(code, message);
    this.#httpStatus = httpStatus;
  }

  override get httpStatus(): number {
    return this.#httpStatus;
  }
}

export function problemOf(thrown: unknown, requestId: string): Problem {
  const error = toRingloadError(thrown);
  const status = error.httpStatus;
  return {
    type: 'about:blank',
    title: status === 499 ? 'Client Closed Request' : (STATUS_CODES[status] ?? 'Error'),
    status,
    detail:
      error === thrown ? error.message : `internal fault: see the log of request ${requestId}`,
    code: error.code,
    requestId,
    ...(Object.keys(error.details).length === 0 ? {} : { details: error.details }),
  };
}

/** Whether a client may simply try again after {@link RETRY_AFTER_S}. */
export function isTemporary(status: number): boolean {
  return status === 429 || status === 503;
}
