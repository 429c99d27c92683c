/**
 * Which peers a client may ask, and in which order: the ones the user named, then the members
 * learned from the cluster. Whoever answered last is asked first. Bounded, so that a round over a
 * large cluster that is down still ends.
 */
import { RingloadError } from '../../base/errors.ts';

export const DEFAULT_PEER = '127.0.0.1:19999';
const DEFAULT_PORT = 19999;
const PEER_MAX_COUNT = 32;

export class PeerList {
  readonly #named: readonly string[];
  #order: string[];

  /** @param named origins such as `http://127.0.0.1:19999`, at least one. */
  constructor(named: readonly string[]) {
    this.#named = named;
    this.#order = [...named];
  }

  /** Origins, best first. */
  order(): readonly string[] {
    return this.#order;
  }

  /** That peer gave a useful answer. */
  prefer(origin: string): void {
    if (this.#order[0] === origin) return;
    this.#order = [origin, ...this.#order.filter((other) => other !== origin)];
  }

  /** That peer failed: the others come first. */
  demote(origin: string): void {
    if (this.#order.at(-1) === origin) return;
    this.#order = [...this.#order.filter((other) => other !== origin), origin];
  }

  /** Adds members by their `host:port`, best first; what is no address is passed over. */
  learn(addresses: readonly string[]): void {
    const scheme = this.#named[0]?.startsWith('https:') ? 'https' : 'http';
    const learned = addresses.flatMap((address) => {
      try {
        return [parsePeer(`${scheme}://${address}`)];
      } catch {
        return [];
      }
    });
    const current = this.#order.filter(
      (origin) => this.#named.includes(origin) || learned.includes(origin),
    );
    this.#order = [...new Set([...current, ...learned])].slice(
      0,
      Math.max(PEER_MAX_COUNT, this.#named.length),
    );
  }
}

/** @throws invalid_argument naming the first part that is no address. */
export function parsePeers(text: string): string[] {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length === 0) throw badPeer(text);
  return [...new Set(parts.map(parsePeer))];
}

/** `host`, `host:port`, `[v6]:port`, with or without `http://` → an origin. */
export function parsePeer(text: string): string {
  const match = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?\/?$/i.exec(text);
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (!match?.[2] || port < 1 || port > 65_535) throw badPeer(text);
  return `${(match[1] ?? 'http').toLowerCase()}://${match[2].toLowerCase()}:${port}`;
}

/** `http://127.0.0.1:19999` → `127.0.0.1:19999` */
export function addressOf(origin: string): string {
  return origin.replace(/^https?:\/\//, '');
}

function badPeer(text: string): RingloadError {
  return new RingloadError(
    'invalid_argument',
    `'${text}' is not a peer address: it must be host:port with a port from 1 to 65535`,
  );
}
