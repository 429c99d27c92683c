/**
 * Host names of under stores as addresses: looked up again now and then, since stores answer with
 * a few of many. A name never leads to a link-local address.
 */
import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { isLinkLocal } from './link-local.ts';

const KEPT_MS = 20_000;

interface Entry {
  readonly addresses: readonly string[];
  readonly atMs: number;
  used: number;
}

export class AddressBook {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Promise<Entry>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The next of the name's addresses in turn. @throws Node's errors, EREFUSEDADDRESS. */
  async lookup(name: string): Promise<string> {
    if (isIP(name) !== 0) return name;
    const entry = await this.#entry(name);
    const address = entry.addresses[entry.used++ % entry.addresses.length];
    if (address !== undefined) return address;
    throw Object.assign(new Error('refused address'), { code: 'EREFUSEDADDRESS' });
  }

  async #entry(name: string): Promise<Entry> {
    const known = await this.#entries.get(name);
    if (known && this.#clock.nowMs() - known.atMs < KEPT_MS) return known;
    const entry = this.#resolve(name);
    this.#entries.set(name, entry);
    // Why: a failed look-up is tried again by the next request.
    entry.catch(() => this.#entries.delete(name));
    return entry;
  }

  async #resolve(name: string): Promise<Entry> {
    const found = await dns.lookup(name, { all: true });
    const addresses = found.map(({ address }) => address).filter((each) => !isLinkLocal(each));
    return { addresses, atMs: this.#clock.nowMs(), used: 0 };
  }
}
