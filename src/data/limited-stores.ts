/** Under stores whose bytes, where readers get them past the cache, count against the limit. */
import type { UnderStore, UnderStores } from '../ufs/under-store.ts';
import { wrapStores } from '../ufs/wrap-stores.ts';
import type { Bandwidth } from './bandwidth.ts';

export function limitStores(stores: UnderStores, bandwidth: Bandwidth): UnderStores {
  if (!bandwidth.limitsUfs) return stores;
  return wrapStores(stores, (store) => limitStore(store, bandwidth));
}

function limitStore(store: UnderStore, bandwidth: Bandwidth): UnderStore {
  return {
    ...(store.listsByKey === true && { listsByKey: true }),
    ...(store.writer && { writer: store.writer }),
    list: (request, signal) => store.list(request, signal),
    ...(store.browse && { browse: store.browse.bind(store) }),
    ...(store.part && { part: store.part.bind(store) }),
    stat: (path, signal) => store.stat(path, signal),
    async *readRange(request, signal) {
      const { length } = request;
      const fill = { lengthBytes: length, isFromUfs: true, isPrefetch: false };
      const passage = await bandwidth.admit(fill, signal);
      try {
        for await (const chunk of store.readRange(request, signal)) {
          await passage?.pass(chunk.length, signal);
          yield chunk;
        }
      } finally {
        passage?.done();
      }
    },
    checksum: (object, signal) => store.checksum(object, signal),
    close: () => store.close(),
  };
}
