/** What freeing a path, and looking at what is cached of it, tell: types only. */
import type { PeerId } from '../base/ids.ts';

/** Segments, and the bytes in them. */
export interface Amount {
  readonly segments: number;
  readonly bytes: number;
}

/** What one peer let go of, and what it kept. */
export interface FreedAmounts {
  /** Files whose record it forgot. */
  readonly records: number;
  readonly freed: Amount;
  /** Needed by a running job. */
  readonly leased: Amount;
  /** Kept by a rule. */
  readonly pinned: Amount;
}

export interface FreedAtPeer extends FreedAmounts {
  readonly id: PeerId;
  /** It could not be asked, or not to the end: it lets go of what it holds when it is back. */
  readonly error?: string;
}

export interface FreeReport {
  readonly path: string;
  /** Files that the catalogues knew when it began; what was only read through is not among them. */
  readonly files: number;
  /** Of all peers: copies count each. */
  readonly freed: Amount;
  readonly leased: Amount;
  readonly pinned: Amount;
  readonly peers: readonly FreedAtPeer[];
  /** Everything is gone everywhere. */
  readonly complete: boolean;
}

export interface FreeProgress {
  readonly files: number;
  readonly peersDone: number;
  readonly peersAsked: number;
}

export type FreeEvent = { readonly progress: FreeProgress } | { readonly report: FreeReport };

/** A free that runs, or ran, on some peer. */
export interface FreeStatus {
  readonly path: string;
  readonly state: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'STOPPED';
  readonly startedAtMs: number;
  readonly progress?: FreeProgress;
  readonly report?: FreeReport;
  readonly error?: string;
}

/**
 * `loaded`: as the last load left it. `outdated`: the under store has another version than what was
 * loaded. `not-loaded`: no load knows it; parts may have been read through. `gone`: loaded, and not
 * in the under store any more. `unchecked`: loaded, and the under store was not asked.
 */
export type FileState = 'loaded' | 'outdated' | 'not-loaded' | 'gone' | 'unchecked';

export interface CheckedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly state: FileState;
  /** Bytes that at least 1, 2, … peers hold, of the version that a reader gets. */
  readonly replicaBytes: readonly number[];
  readonly peerBytes: Readonly<Record<PeerId, number>>;
}

export interface CheckReport {
  readonly path: string;
  readonly files: number;
  readonly sizeBytes: number;
  /** Files of which every byte is on some peer. */
  readonly residentFiles: number;
  readonly residentBytes: number;
  readonly states: Readonly<Record<FileState, number>>;
  /** As in {@link CheckedFile}. */
  readonly replicaBytes: readonly number[];
  readonly peerBytes: Readonly<Record<PeerId, number>>;
  /** Members that could not be asked: what they hold is not counted. */
  readonly unanswered: readonly PeerId[];
  /** Why the files are those of the catalogues, and not those of the under store. */
  readonly storeError?: string;
}

export type CheckEvent = { readonly file: CheckedFile } | { readonly report: CheckReport };
