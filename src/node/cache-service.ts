/** What users ask of the caches: rules are commands, everything else is done at the peers. */
import { sleep, type Clock } from '../base/clock.ts';
import type { PathRule, RuleChanges } from '../base/path-rule.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import type { CacheService } from '../http/services.ts';
import type { FreeRequest } from '../residence/free-path.ts';
import type { CheckEvent, FreeEvent, FreeStatus } from '../residence/report.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import type { UnderStores } from '../ufs/under-store.ts';
import type { Proposer } from './proposer.ts';
import type { ResidenceService } from './residence-service.ts';
import type { RulesInForce } from './rules-in-force.ts';

const COMMIT_DEADLINE_MS = 15_000;
/** Until this peer has applied what the leader has. */
const APPLY_WAIT_MS = 2000;
const APPLY_LOOK_MS = 20;

export interface CacheServiceOptions {
  readonly proposer: Proposer;
  readonly residence: ResidenceService;
  readonly rules: RulesInForce;
  readonly stores: UnderStores;
  readonly state: () => ClusterState;
  readonly clock: Clock;
}

export class NodeCacheService implements CacheService {
  readonly #options: CacheServiceOptions;

  constructor(options: CacheServiceOptions) {
    this.#options = options;
  }

  free(request: FreeRequest, signal: AbortSignal): AsyncIterable<FreeEvent> {
    return this.#options.residence.free(request, signal);
  }

  submitFree(request: FreeRequest): FreeStatus {
    return this.#options.residence.submitFree(request);
  }

  freeStatus(path: string): Promise<FreeStatus | undefined> {
    return this.#options.residence.freeStatus(path);
  }

  stopFree(path: string): boolean {
    return this.#options.residence.stopFree(path);
  }

  check(
    request: { readonly path: string; readonly asksStore: boolean },
    signal: AbortSignal,
  ): AsyncIterable<CheckEvent> {
    return this.#options.residence.check(request, signal);
  }

  rules(): readonly PathRule[] {
    return this.#options.rules.book.rules;
  }

  rulesFor(path: string): readonly PathRule[] {
    return this.rules().filter((rule) => isAtOrBelow(rule.path, path));
  }

  async setRule(path: string, changes: RuleChanges): Promise<PathRule | null> {
    const { proposer, stores } = this.#options;
    stores.storeOf(path);
    const command = { kind: 'rule.set', path, changes } as const;
    const { rule } = (await proposer.commit(command, COMMIT_DEADLINE_MS)) as {
      rule: PathRule | null;
    };
    await this.#untilApplied(path, rule);
    return rule;
  }

  /** Who asks this peer next is to see what it was told just now. */
  async #untilApplied(path: string, rule: PathRule | null): Promise<void> {
    const { state, clock } = this.#options;
    const untilMs = clock.nowMs() + APPLY_WAIT_MS;
    const wanted = JSON.stringify(rule);
    while (JSON.stringify(state().rules.get(path) ?? null) !== wanted) {
      if (clock.nowMs() > untilMs) return;
      await sleep(clock, APPLY_LOOK_MS);
    }
  }
}
