/**
 * What disks do to files: one bit flipped at every byte, pages zeroed and swapped, the file cut at
 * every length, grown, or replaced by an older copy of itself. And a tally of what came of it.
 */
import type { ExecutionContext } from 'ava';
import { SeededRandom } from '../../src/base/random.ts';

export type DamageKind = 'flip' | 'zeroed' | 'swapped' | 'cut' | 'grown' | 'older';

export interface Damage {
  readonly kind: DamageKind;
  readonly what: string;
  readonly bytes: Buffer;
}

export interface DamageOptions {
  /** Default 4096; smaller for files that are smaller. */
  readonly pageBytes?: number;
  /** Every n-th byte is flipped, and every n-th length cut to. Default 1: all of them. */
  readonly step?: number;
  /** Former contents of the file. */
  readonly older?: readonly Uint8Array[];
}

/** Every damage of every kind to `content`; each differs from it. */
export function* everyDamage(content: Uint8Array, options: DamageOptions = {}): Generator<Damage> {
  for (const damage of allDamages(Buffer.from(content), options)) {
    if (!damage.bytes.equals(content)) yield damage;
  }
}

function* allDamages(
  content: Buffer,
  { pageBytes = 4096, step = 1, older = [] }: DamageOptions,
): Generator<Damage> {
  for (let at = 0; at < content.length; at += step) {
    const bytes = Buffer.from(content);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    yield { kind: 'flip', what: `bit ${at % 8} of byte ${at} flipped`, bytes };
  }
  const pageCount = Math.ceil(content.length / pageBytes);
  for (let page = 0; page < pageCount; page++) {
    const start = page * pageBytes;
    const zeroed = Buffer.from(content).fill(0, start, Math.min(content.length, start + pageBytes));
    yield { kind: 'zeroed', what: `page ${page} zeroed`, bytes: zeroed };
    for (let other = page + 1; (other + 1) * pageBytes <= content.length; other++) {
      const bytes = Buffer.from(content);
      content.copy(bytes, start, other * pageBytes, (other + 1) * pageBytes);
      content.copy(bytes, other * pageBytes, start, start + pageBytes);
      yield { kind: 'swapped', what: `pages ${page} and ${other} swapped`, bytes };
    }
  }
  for (let length = 0; length < content.length; length += step) {
    yield { kind: 'cut', what: `cut to ${length} bytes`, bytes: content.subarray(0, length) };
  }
  for (const extra of [1, 7, 20, 512, pageBytes]) {
    for (const [name, tail] of [
      ['zeros', Buffer.alloc(extra)],
      ['garbage', garbage(extra)],
      ['its own start', content.subarray(0, extra)],
    ] as const) {
      const bytes = Buffer.concat([content, tail]);
      yield { kind: 'grown', what: `grown by ${extra} bytes of ${name}`, bytes };
    }
  }
  for (const [number, bytes] of older.entries()) {
    yield { kind: 'older', what: `replaced by older copy ${number}`, bytes: Buffer.from(bytes) };
  }
}

function garbage(length: number): Buffer {
  const random = new SeededRandom(length);
  return Buffer.from(Array.from({ length }, () => 1 + Math.floor(random.next() * 255)));
}

/**
 * `detected`: refused by name, or dropped and reported; `harmless`: everything is as it was;
 * `earlier`: a state the file once had, which nothing in the file itself can tell from the latest.
 */
export type Outcome = 'detected' | 'harmless' | 'earlier' | 'wrong';

export class DamageTally {
  readonly #counts = new Map<Outcome, number>();
  readonly #wrong: string[] = [];
  #triedCount = 0;

  add(damage: Pick<Damage, 'what'>, outcome: Outcome): void {
    this.#triedCount++;
    this.#counts.set(outcome, this.count(outcome) + 1);
    if (outcome === 'wrong') this.#wrong.push(damage.what);
  }

  count(outcome: Outcome): number {
    return this.#counts.get(outcome) ?? 0;
  }

  /** Prints the counts; nothing may have been served wrong. */
  close(t: ExecutionContext, of: string): void {
    const [detected, harmless, earlier, wrong] = (
      ['detected', 'harmless', 'earlier', 'wrong'] as const
    ).map((outcome) => this.count(outcome));
    t.log(
      `corruptions of ${of}: ${this.#triedCount} tried, ${detected} detected, ` +
        `${harmless} harmless, ${earlier} an earlier state, ${wrong} served wrong`,
    );
    t.deepEqual(this.#wrong, []);
    t.true(this.#triedCount > 0 && this.count('detected') > 0, 'damages were tried and found');
  }
}
