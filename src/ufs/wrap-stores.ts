/** Under stores that do something besides: count what is asked of them, keep to a limit. */
import type { UnderStore, UnderStores } from './under-store.ts';

/** Each store is wrapped once, when it is first asked for. */
export function wrapStores(
  stores: UnderStores,
  wrap: (store: UnderStore) => UnderStore,
): UnderStores {
  const wrapped = new Map<UnderStore, UnderStore>();
  return {
    mounts: stores.mounts,
    storeOf(path) {
      const store = stores.storeOf(path);
      let known = wrapped.get(store);
      if (!known) wrapped.set(store, (known = wrap(store)));
      return known;
    },
  };
}
