/**
 * Guesses where keys lie that nobody has listed yet: a page of neighbouring keys is read like an
 * odometer, whose letters and digits say how far one key is from the next.
 *
 * A guess is a string between real keys and no more; who cuts a listing there loses nothing,
 * however wrong it is. Keys count in letters and digits only: everything else in them stays.
 */
import { comparePaths } from '../ufs/path.ts';

const DIGITS = '0123456789';
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const UPPER = LOWER.toUpperCase();
/** In the order of bytes. Of these the first that has all characters of a position is taken. */
const ALPHABETS = [
  DIGITS,
  `${DIGITS}abcdef`,
  `${DIGITS}ABCDEF`,
  LOWER,
  UPPER,
  DIGITS + LOWER,
  DIGITS + UPPER,
  DIGITS + UPPER + LOWER,
];

/** Positions that count from the first on where the page's keys differ. */
const FINE_COUNT = 6;
/** Guesses that may lie before what is wanted: pages that are asked for at once, and some. */
const TRY_MAX_COUNT = 32;
/** Keys of a page that are looked at for the alphabets in use. */
const SAMPLE_COUNT = 64;

interface Wheel {
  /** Index in the key. */
  readonly at: number;
  readonly alphabet: string;
}

export class KeyRuler {
  readonly #last: string;
  /** From the most significant on. */
  readonly #wheels: readonly Wheel[];
  /** Of them, those at the end that differ within the page. */
  readonly #fineCount: number;
  readonly #lastValue: number;
  /** From one guess to the next. */
  readonly #step: number;
  #guessCount = 0;

  private constructor(last: string, wheels: readonly Wheel[], fineCount: number, step: number) {
    this.#last = last;
    this.#wheels = wheels;
    this.#fineCount = fineCount;
    this.#lastValue = valueOf(last, wheels.slice(-fineCount));
    this.#step = step;
  }

  /**
   * @param paths neighbours, in order.
   * @param fixedLength how much of the paths never changes.
   * @param stride how many keys shall lie between two guesses.
   * @returns undefined where the keys have nothing that counts.
   */
  static from(
    paths: readonly string[],
    { fixedLength, stride }: { readonly fixedLength: number; readonly stride: number },
  ): KeyRuler | undefined {
    const [first] = paths;
    const last = paths.at(-1);
    if (first === undefined || last === undefined || paths.length < 2) return undefined;
    const common = Math.max(fixedLength, commonLength(first, last));
    const every = Math.ceil(paths.length / SAMPLE_COUNT);
    const sample = paths.filter((_, index) => index % every === 0);
    const wheels: Wheel[] = [];
    let fineCount = 0;
    for (let at = fixedLength; at < last.length && fineCount < FINE_COUNT; at++) {
      if (!isWheel(last.charAt(at))) continue;
      const isFine = at >= common;
      const alphabet = alphabetOf(isFine ? sample : [], last, at);
      wheels.push({ at, alphabet });
      if (isFine) fineCount += 1;
    }
    if (fineCount === 0) return undefined;
    const fine = wheels.slice(-fineCount);
    const span = valueOf(last, fine) - valueOf(first, fine);
    if (span <= 0) return undefined;
    return new KeyRuler(last, wheels, fineCount, (span * stride) / (paths.length - 1));
  }

  /** The next guess behind `path`, unless that is too far away to say. Guesses only go up. */
  guessBehind(path: string): string | undefined {
    for (let tries = 0; tries < TRY_MAX_COUNT; tries++) {
      this.#guessCount += 1;
      const guess = this.#guess(this.#guessCount);
      if (guess === undefined) return undefined;
      if (comparePaths(guess, path) > 0) return guess;
    }
    return undefined;
  }

  /** The last key turned on by so many steps; undefined when all its wheels have come round. */
  #guess(count: number): string | undefined {
    const chars = this.#last.slice(0, (this.#wheels.at(-1)?.at ?? 0) + 1).split('');
    let rest = Math.ceil(this.#lastValue + this.#step * count);
    this.#wheels.toReversed().forEach(({ at, alphabet }, index) => {
      // What the page's keys have in common is turned on only by what comes round behind it.
      const before = index < this.#fineCount ? 0 : rankOf(this.#last.charAt(at), alphabet);
      const turned = before + rest;
      chars[at] = alphabet.charAt(turned % alphabet.length);
      rest = Math.floor(turned / alphabet.length);
    });
    return rest > 0 ? undefined : chars.join('');
  }
}

function isWheel(char: string): boolean {
  return /^[0-9A-Za-z]$/.test(char);
}

function alphabetOf(sample: readonly string[], last: string, at: number): string {
  const seen = new Set([last, ...sample].map((path) => path.charAt(at)).filter(isWheel));
  const fits = (alphabet: string): boolean => [...seen].every((char) => alphabet.includes(char));
  return ALPHABETS.find(fits) ?? DIGITS + UPPER + LOWER;
}

function valueOf(path: string, wheels: readonly Wheel[]): number {
  return wheels.reduce(
    (value, { at, alphabet }) => value * alphabet.length + rankOf(path.charAt(at), alphabet),
    0,
  );
}

/** Place of a character in the alphabet; of one that is not there, the next lower place. */
function rankOf(char: string, alphabet: string): number {
  const rank = alphabet.indexOf(char);
  if (rank >= 0) return rank;
  let lower = 0;
  while (lower + 1 < alphabet.length && alphabet.charAt(lower + 1) < char) lower += 1;
  return lower;
}

function commonLength(left: string, right: string): number {
  let length = 0;
  while (length < left.length && left.charCodeAt(length) === right.charCodeAt(length)) length += 1;
  return length;
}
