/** Under stores that count what is asked of them: requests by outcome and time. */
import { toRingloadError, type ErrorCode } from '../base/errors.ts';
import type { Clock } from '../base/clock.ts';
import type { Metrics, UfsOperation } from '../obs/metrics.ts';
import type { MountTable } from '../ufs/mounts.ts';
import type { StoreWriter, UploadWriter } from '../ufs/store-writer.ts';
import type { UnderStore, UnderStores } from '../ufs/under-store.ts';
import { wrapStores } from '../ufs/wrap-stores.ts';

export function meterStores(stores: MountTable, metrics: Metrics, clock: Clock): UnderStores {
  return wrapStores(stores, (store) => meterStore(store, metrics, clock));
}

function meterStore(store: UnderStore, metrics: Metrics, clock: Clock): UnderStore {
  const begin = (op: UfsOperation): ((code: ErrorCode | 'ok') => void) => {
    const startedMs = clock.nowMs();
    return (code) => {
      metrics.ufsRequest({ op, code, seconds: (clock.nowMs() - startedMs) / 1000 });
    };
  };
  const time = async <T>(op: UfsOperation, call: () => Promise<T>): Promise<T> => {
    const end = begin(op);
    try {
      const value = await call();
      end('ok');
      return value;
    } catch (error) {
      end(toRingloadError(error).code);
      throw error;
    }
  };
  const browse = store.browse?.bind(store);
  const part = store.part?.bind(store);
  return {
    ...(store.listsByKey === true && { listsByKey: true }),
    ...(store.writer && { writer: meterWriter(store.writer, time) }),
    list: (request, signal) => time('list', () => store.list(request, signal)),
    ...(browse && { browse: (request, signal) => time('list', () => browse(request, signal)) }),
    ...(part && { part: (request, signal) => time('stat', () => part(request, signal)) }),
    stat: (path, signal) => time('stat', () => store.stat(path, signal)),
    async *readRange(request, signal) {
      const end = begin('read');
      let code: ErrorCode | 'ok' = 'cancelled';
      try {
        yield* store.readRange(request, signal);
        code = 'ok';
      } catch (error) {
        ({ code } = toRingloadError(error));
        throw error;
      } finally {
        end(code);
      }
    },
    ...(store.moveRange && {
      moveRange: (request, mover, signal) =>
        time('read', async () => (await store.moveRange?.(request, mover, signal)) ?? false),
    }),
    checksum: (object, signal) => time('stat', () => store.checksum(object, signal)),
    close: () => store.close(),
  };
}

type Time = <T>(op: UfsOperation, call: () => Promise<T>) => Promise<T>;

function meterWriter(writer: StoreWriter, time: Time): StoreWriter {
  const { uploads } = writer;
  return {
    put: (request, signal) => time('write', () => writer.put(request, signal)),
    delete: (path, signal) => time('delete', () => writer.delete(path, signal)),
    ...(uploads && { uploads: meterUploads(uploads, time) }),
  };
}

function meterUploads(uploads: UploadWriter, time: Time): UploadWriter {
  return {
    create: (path, fields, signal) => time('write', () => uploads.create(path, fields, signal)),
    putPart: (request, signal) => time('write', () => uploads.putPart(request, signal)),
    complete: (request, signal) => time('write', () => uploads.complete(request, signal)),
    abort: (target, signal) => time('delete', () => uploads.abort(target, signal)),
    parts: (request, signal) => time('list', () => uploads.parts(request, signal)),
  };
}
