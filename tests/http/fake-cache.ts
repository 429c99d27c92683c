/** What routes and commands ask of the caches, answered from memory. */
import { RingloadError } from '../../src/base/errors.ts';
import type { PathRule, RuleChanges } from '../../src/base/path-rule.ts';
import { applyRuleCommand } from '../../src/cluster/apply-rule.ts';
import { EMPTY_STATE, type ClusterState } from '../../src/cluster/cluster-state.ts';
import type { CacheService, FreeRequest } from '../../src/http/services.ts';
import type {
  CheckedFile,
  CheckEvent,
  CheckReport,
  FreeEvent,
  FreeReport,
  FreeStatus,
} from '../../src/residence/report.ts';
import { isAtOrBelow } from '../../src/ufs/path.ts';

const NOTHING = { segments: 0, bytes: 0 };

export class FakeCache implements CacheService {
  readonly freed: FreeRequest[] = [];
  readonly checked: { readonly path: string; readonly asksStore: boolean }[] = [];
  readonly statuses = new Map<string, FreeStatus>();
  files: readonly CheckedFile[] = [];
  report: Partial<CheckReport> = {};
  freeReport: Partial<FreeReport> = {};
  #state: ClusterState = EMPTY_STATE;

  free(request: FreeRequest): AsyncIterable<FreeEvent> {
    if (request.path.startsWith('s3://other'))
      throw new RingloadError('path_not_mounted', `${request.path} lies outside every mount`);
    this.freed.push(request);
    return this.#free(request);
  }

  async *#free({ path }: FreeRequest): AsyncGenerator<FreeEvent> {
    await Promise.resolve();
    yield { progress: { files: 1, peersDone: 0, peersAsked: 1 } };
    yield { report: this.#freeReportOf(path) };
  }

  #freeReportOf(path: string): FreeReport {
    const none = { freed: NOTHING, leased: NOTHING, pinned: NOTHING };
    return { path, files: 0, ...none, peers: [], complete: true, ...this.freeReport };
  }

  submitFree(request: FreeRequest): FreeStatus {
    const { path } = request;
    this.freed.push(request);
    const status: FreeStatus = { path, state: 'RUNNING', startedAtMs: 1_700_000_000_000 };
    this.statuses.set(path, status);
    return status;
  }

  freeStatus(path: string): Promise<FreeStatus | undefined> {
    const status = this.statuses.get(path);
    if (status?.state === 'RUNNING')
      this.statuses.set(path, { ...status, state: 'SUCCEEDED', report: this.#freeReportOf(path) });
    return Promise.resolve(status);
  }

  stopFree(path: string): boolean {
    const status = this.statuses.get(path);
    if (status?.state !== 'RUNNING') return false;
    this.statuses.set(path, { ...status, state: 'STOPPED' });
    return true;
  }

  async *check(request: { path: string; asksStore: boolean }): AsyncGenerator<CheckEvent> {
    await Promise.resolve();
    this.checked.push(request);
    for (const file of this.files) yield { file };
    const states = { loaded: 0, outdated: 0, 'not-loaded': 0, gone: 0, unchecked: 0 };
    const sums = { files: 0, sizeBytes: 0, residentFiles: 0, residentBytes: 0, states };
    const shares = { replicaBytes: [], peerBytes: {}, unanswered: [] };
    yield { report: { path: request.path, ...sums, ...shares, ...this.report } };
  }

  rules(): readonly PathRule[] {
    return [...this.#state.rules.values()];
  }

  rulesFor(path: string): readonly PathRule[] {
    return this.rules().filter((rule) => isAtOrBelow(rule.path, path));
  }

  setRule(path: string, changes: RuleChanges): Promise<PathRule | null> {
    if (path.startsWith('s3://other'))
      throw new RingloadError('path_not_mounted', `${path} lies outside every mount`);
    const { state } = applyRuleCommand(this.#state, { kind: 'rule.set', path, changes });
    this.#state = state;
    return Promise.resolve(state.rules.get(path) ?? null);
  }
}
