/** Header fields of a write: those that are carried to the store, and those that it answers. */
import type { WriteField } from '../store-writer.ts';

/** Of an SDK command: its own middleware. */
interface Stacked {
  readonly middlewareStack: {
    add(middleware: unknown, options: unknown): void;
  };
}

interface Exchange {
  readonly request: { readonly headers: Record<string, string> };
  readonly response: { readonly headers: Readonly<Record<string, string>> };
}

type Next = (args: Pick<Exchange, 'request'>) => Promise<Pick<Exchange, 'response'>>;

/** What a client may want to know of what was written. */
const TOLD =
  /^(?:etag|x-amz-(?:version-id|delete-marker|expiration|checksum-[a-z0-9-]+|server-side-encryption[a-z-]*))$/;

/** Sets them before the request is signed, in place of what the SDK would say. */
export function carry(command: Stacked, fields: readonly WriteField[]): void {
  const middleware = (next: Next) => (args: Pick<Exchange, 'request'>) => {
    for (const [name, value] of fields) args.request.headers[name] = value;
    return next(args);
  };
  command.middlewareStack.add(middleware, { name: 'ringloadCarryFields', step: 'build' });
}

/** To be called once the command was answered. */
export function toldBy(command: Stacked): () => readonly WriteField[] {
  let told: readonly WriteField[] = [];
  const middleware = (next: Next) => async (args: Pick<Exchange, 'request'>) => {
    const result = await next(args);
    told = Object.entries(result.response.headers)
      .map(([name, value]): WriteField => [name.toLowerCase(), value])
      .filter(([name]) => TOLD.test(name));
    return result;
  };
  command.middlewareStack.add(middleware, {
    ...{ name: 'ringloadHearFields', step: 'deserialize', priority: 'low' },
  });
  return () => told;
}
