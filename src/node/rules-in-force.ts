/** The rules of all paths: those of the mounts, by configuration, and those that users have set. */
import { parseFreshness, type Freshness, type PathRule } from '../base/path-rule.ts';
import type { ClusterState } from '../cluster/cluster-state.ts';
import { RuleBook } from '../cluster/rule-book.ts';
import type { UfsConfig } from '../config/schema.ts';
import { canonicalRoot } from '../ufs/path.ts';

export class RulesInForce {
  readonly #state: () => ClusterState;
  readonly #ofMounts: readonly PathRule[];
  #seen: ClusterState['rules'] | undefined;
  #book = new RuleBook([]);

  constructor(state: () => ClusterState, mounts: UfsConfig['mounts']) {
    this.#state = state;
    this.#ofMounts = mounts.flatMap(({ path, freshness }) =>
      freshness === undefined
        ? []
        : [{ path: canonicalRoot(path), freshness: parseFreshness(freshness) }],
    );
  }

  /** The same value until a rule changes. */
  get book(): RuleBook {
    const { rules } = this.#state();
    if (rules !== this.#seen) {
      this.#seen = rules;
      this.#book = new RuleBook([...this.#ofMounts, ...rules.values()]);
    }
    return this.#book;
  }

  freshnessOf(path: string): Freshness {
    return this.saidOf(path) ?? 'immutable';
  }

  /** What a rule or a mount says, if anything does. */
  saidOf(path: string): Freshness | undefined {
    return this.book.effective(path).freshness;
  }
}
