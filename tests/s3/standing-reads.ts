/** Clients of an S3 endpoint that answers by itself, and what they may see. */
import { SeededRandom, randomInt } from '../../src/base/random.ts';
import { SEGMENT, versionBytes, type StandingWorld } from './standing-world.ts';

export const SIZE = SEGMENT + 100 * 1024 + 123;

export interface Seen {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

export async function ask(
  world: StandingWorld,
  target: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Seen> {
  const answer = await fetch(`${world.endpoint}${target}`, { method, headers });
  const body = Buffer.from(await answer.arrayBuffer());
  const { date: _date, 'x-amz-request-id': _id, ...fields } = Object.fromEntries(answer.headers);
  return { status: answer.status, headers: fields, body };
}

/**
 * Random ranges of files that are loaded anew all the time.
 * @returns how many were seen, all of them of one version that was the newest when they were asked
 * for, or came since. @throws on the first that was not
 */
export async function readWhileLoading(worlds: {
  readonly seed: number;
  readonly loads: StandingWorld;
  readonly reads: StandingWorld;
}): Promise<number> {
  const random = new SeededRandom(worlds.seed);
  const names = ['a', 'b', 'c', 'd'];
  /** Last version that was acknowledged. */
  const loaded = new Map<string, number>();
  /** Last version that was begun. */
  const begun = new Map<string, number>();
  const load = async (name: string): Promise<void> => {
    const number = (begun.get(name) ?? 0) + 1;
    begun.set(name, number);
    await worlds.loads.load(name, versionBytes(name, number, SIZE));
    loaded.set(name, number);
  };
  for (const name of names) await load(name);
  let isOver = false;
  let checkedCount = 0;
  const readers = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const name = names[randomInt(random, names.length)] ?? 'a';
      const from = randomInt(random, SIZE - 70_000);
      const length = 1 + randomInt(random, 66_000);
      const oldest = loaded.get(name) ?? 0;
      const headers = { range: `bytes=${from}-${from + length - 1}` };
      // Cut: what is left of a version may be gone when its next one is there.
      const answer = await ask(worlds.reads, `/b/${name}`, { headers }).catch(() => undefined);
      if (!answer) continue;
      const newest = begun.get(name) ?? 0;
      const isOne = [...Array(newest - oldest + 1).keys()].some((step) =>
        versionBytes(name, oldest + step, SIZE)
          .subarray(from, from + length)
          .equals(answer.body),
      );
      if (answer.status !== 206 || !isOne)
        throw new Error(
          `${answer.status}: ${name} ${headers.range} is none of ${oldest} to ${newest}`,
        );
      checkedCount++;
    }
  });
  for (let round = 0; round < 40; round++)
    await load(names[randomInt(random, names.length)] ?? 'a');
  isOver = true;
  await Promise.all(readers);
  return checkedCount;
}
