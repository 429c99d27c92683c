/** What the answers about the caches must look like before the rest of the CLI trusts them. */
import type { ErrorCode } from '../../base/errors.ts';
import type { PeerId } from '../../base/ids.ts';
import { PRIORITIES, type Priority } from '../../base/path-rule.ts';
import type {
  Amount,
  CheckedFile,
  CheckReport,
  FileState,
  FreedAtPeer,
  FreeProgress,
  FreeReport,
  FreeStatus,
} from '../../residence/report.ts';
import {
  boolean,
  brandedText,
  type Check,
  listOf,
  number,
  oneOf,
  optional,
  shape,
  text,
} from './decode.ts';

/** A rule as the API tells it: freshness as people write it. */
export interface RuleAnswer {
  readonly path: string;
  readonly pinned?: boolean;
  readonly priority?: Priority;
  readonly ttlMs?: number;
  readonly quotaBytes?: number;
  readonly freshness?: string;
}

/** `ttl` and `quota` as text; null takes the field away. */
export interface RuleRequest {
  readonly path: string;
  readonly pinned?: boolean | null;
  readonly priority?: string | null;
  readonly ttl?: string | null;
  readonly quota?: string | null;
  readonly freshness?: string | null;
}

const ruleAnswerFields = shape<RuleAnswer>({
  path: text,
  pinned: optional(boolean),
  priority: optional(oneOf(PRIORITIES)),
  ttlMs: optional(number),
  quotaBytes: optional(number),
  freshness: optional(text),
});

export const ruleList = shape<{ rules: readonly RuleAnswer[] }>({
  rules: listOf(ruleAnswerFields),
});

export const ruleAnswer: Check<{ readonly rule: RuleAnswer | null }> = (value, at) => {
  const { rule } = value as { rule?: unknown };
  if (rule !== null) ruleAnswerFields(rule, at === '' ? 'rule' : `${at}.rule`);
  return value as { rule: RuleAnswer | null };
};

const amount = shape<Amount>({ segments: number, bytes: number });
const amounts = { freed: amount, leased: amount, pinned: amount };

const freeProgress = shape<FreeProgress>({ files: number, peersDone: number, peersAsked: number });

const freeReport = shape<FreeReport>({
  path: text,
  files: number,
  ...amounts,
  peers: listOf(
    shape<FreedAtPeer>({
      id: brandedText<PeerId>(),
      records: number,
      ...amounts,
      error: optional(text),
    }),
  ),
  complete: boolean,
});

interface LineError {
  readonly code: ErrorCode;
  readonly detail: string;
}

const lineError = shape<LineError>({ code: brandedText<ErrorCode>(), detail: text });

export const freeLine = shape<{
  progress?: FreeProgress;
  report?: FreeReport;
  error?: LineError;
}>({
  progress: optional(freeProgress),
  report: optional(freeReport),
  error: optional(lineError),
});

export const freeStatus = shape<FreeStatus>({
  path: text,
  state: oneOf(['RUNNING', 'SUCCEEDED', 'FAILED', 'STOPPED']),
  startedAtMs: number,
  progress: optional(freeProgress),
  report: optional(freeReport),
  error: optional(text),
});

const FILE_STATES = ['loaded', 'outdated', 'not-loaded', 'gone', 'unchecked'] as const;

const peerBytes: Check<Readonly<Record<PeerId, number>>> = (value, at) => {
  for (const [peer, bytes] of Object.entries(value as object)) number(bytes, `${at}.${peer}`);
  return value as Readonly<Record<PeerId, number>>;
};

export const checkLine = shape<{ file?: CheckedFile; report?: CheckReport; error?: LineError }>({
  file: optional(
    shape<CheckedFile>({
      path: text,
      sizeBytes: number,
      state: oneOf<FileState>(FILE_STATES),
      replicaBytes: listOf(number),
      peerBytes,
    }),
  ),
  report: optional(
    shape<CheckReport>({
      path: text,
      files: number,
      sizeBytes: number,
      residentFiles: number,
      residentBytes: number,
      states: shape<Record<FileState, number>>({
        loaded: number,
        outdated: number,
        'not-loaded': number,
        gone: number,
        unchecked: number,
      }),
      replicaBytes: listOf(number),
      peerBytes,
      unanswered: listOf(brandedText<PeerId>()),
      storeError: optional(text),
    }),
  ),
  error: optional(lineError),
});
