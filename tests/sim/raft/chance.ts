/** Draws from one stream of a seed. */
import type { Random } from '../../../src/base/random.ts';
import { SeededRandom, randomInt } from '../../../src/base/random.ts';

export class Chance {
  readonly random: Random;

  constructor(seed: number, stream: number) {
    this.random = new SeededRandom(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(stream, 0x85ebca6b));
  }

  hit(probability: number): boolean {
    return this.random.next() < probability;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + this.random.next() * (high - low);
  }

  /** Whole, in [low, high]. */
  whole(low: number, high: number): number {
    return low + randomInt(this.random, high - low + 1);
  }

  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[randomInt(this.random, items.length)];
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    const left = [...items];
    const shuffled: Item[] = [];
    while (left.length > 0) shuffled.push(...left.splice(randomInt(this.random, left.length), 1));
    return shuffled;
  }
}
