/** A leader that is told to end while a thousand reads are under way. */
import { createHash } from 'node:crypto';
import { get, type IncomingMessage } from 'node:http';
import test from 'ava';
import { ERROR_TABLE, isErrorCode, type ErrorCode } from '../../src/base/errors.ts';
import { MIB } from '../../src/base/units.ts';
import type { Peer } from '../support/peer-process.ts';
import { pathOf } from '../fault/expect.ts';
import { openCount } from '../fault/limited.ts';
import { Stage } from '../fault/stage.ts';

/** Their bodies are read from then on. */
const READER_COUNT = 100;
/** They wait for a fetch that takes a while. */
const WAITER_COUNT = 800;
/** They never read on. */
const IDLER_COUNT = 100;

/** A body that is the file, one that breaks off, an error that may pass, or a lie. */
type Outcome = 'whole' | 'cut' | 'wrong' | 'short' | `refused: ${ErrorCode}`;

class Read {
  readonly #head: Promise<IncomingMessage | undefined>;

  constructor(peer: Peer, key: string) {
    const url = `${peer.restUrl}/v1/files/content?path=${encodeURIComponent(pathOf(key))}`;
    this.#head = new Promise((resolve) => {
      get(url, { agent: false }, (response) => {
        response.pause();
        resolve(response);
      }).once('error', () => {
        resolve(undefined);
      });
    });
  }

  /** The head is there. */
  async begun(): Promise<void> {
    await this.#head;
  }

  async outcome(expectedSha256: string, sizeBytes: number): Promise<Outcome> {
    const response = await this.#head;
    if (!response) return 'cut';
    const hash = createHash('sha256');
    const chunks: Uint8Array[] = [];
    let receivedBytes = 0;
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        hash.update(chunk);
        receivedBytes += chunk.length;
        if (response.statusCode !== 200) chunks.push(chunk);
      }
    } catch {
      return 'cut';
    }
    if (response.statusCode !== 200) {
      const { code } = JSON.parse(Buffer.concat(chunks).toString()) as { code: string };
      return isErrorCode(code) && ERROR_TABLE[code].retryable ? `refused: ${code}` : 'wrong';
    }
    if (receivedBytes !== sizeBytes) return 'short';
    return hash.digest('hex') === expectedSha256 ? 'whole' : 'wrong';
  }
}

test('drain: SIGTERM with a thousand reads under way: whole or cut, the lead handed over, exit 0', async (t) => {
  await using stage = await Stage.open({
    env: {
      RINGLOAD_LOAD_SEGMENT_SIZE_BYTES: MIB,
      RINGLOAD_LOAD_CONCURRENCY: 4,
      RINGLOAD_RAFT_TICK_MS: 200,
      // Fetches are held until all reads are under way, however long that takes.
      RINGLOAD_LIVENESS_DOWN_AFTER_MS: 60_000,
      RINGLOAD_UFS_REQUEST_TIMEOUT_MS: 60_000,
    },
  });
  // More than sockets take in, so that these reads are under way for the peer, too.
  const known = stage.addFiles({ count: 1, sizeBytes: 5 * MIB });
  const large = stage.addFiles({ count: 1, sizeBytes: 16 * MIB });
  const cold = stage.addFiles({ count: 1, sizeBytes: 20_000 });
  for (const data of [known, large]) await (await stage.load(data, { replicas: 3 })).succeeds();
  let letFetch: () => void = () => undefined;
  const until = new Promise<void>((resolve) => {
    letFetch = resolve;
  });
  stage.script({ operation: 'get', action: { kind: 'hold', until } });
  const leader = await stage.cluster.waitForLeader();
  const { term: termBefore } = await leader.api.cluster();
  const begin = (key: string, count: number): Read[] =>
    Array.from({ length: count }, () => new Read(leader, key));
  const [knownKey = '', largeKey = '', coldKey = ''] = [known, large, cold].map(
    ({ keys }) => keys[0],
  );

  const readers = begin(knownKey, READER_COUNT);
  const idlers = begin(largeKey, IDLER_COUNT);
  await Promise.all([...readers, ...idlers].map((read) => read.begun()));
  const before = await openCount(leader);
  const waiters = begin(coldKey, WAITER_COUNT);
  await stage.cluster.waitFor(
    async () => (await openCount(leader)) >= before + WAITER_COUNT,
    'the reads to be under way',
  );

  const exit = leader.stop(60_000);
  letFetch();
  const outcomesOf = async (reads: readonly Read[], key: string): Promise<Outcome[]> => {
    const sizeBytes = stage.origin.objects.find(key)?.sizeBytes ?? 0;
    const expected = stage.origin.expectedSha256(key);
    return Promise.all(reads.map((read) => read.outcome(expected, sizeBytes)));
  };
  const [ofReaders, ofWaiters] = await Promise.all([
    outcomesOf(readers, knownKey),
    outcomesOf(waiters, coldKey),
  ]);
  t.deepEqual(await exit, { code: 0, signal: null }, leader.logs());
  const { term } = await (await stage.cluster.waitForLeader({ other: leader })).api.cluster();
  const ofIdlers = await outcomesOf(idlers, largeKey);
  const tell = (outcomes: readonly Outcome[]): string =>
    [...new Set(outcomes)]
      .map((kind) => `${outcomes.filter((each) => each === kind).length} ${kind}`)
      .join(', ');
  t.log(
    `read on: ${tell(ofReaders)}; waited: ${tell(ofWaiters)}; did not read on: ${tell(ofIdlers)}`,
  );
  t.deepEqual([...new Set(ofIdlers)], ['cut'], 'who did not read on');
  const isHonest = (outcome: Outcome): boolean => outcome !== 'wrong' && outcome !== 'short';
  for (const outcomes of [ofReaders, ofWaiters]) {
    t.true(outcomes.every(isHonest));
    t.true(outcomes.includes('whole'), 'nobody was waited for');
  }
  // Handed over, and not taken by whoever ran out of patience, perhaps after another.
  t.is(Number(term), Number(termBefore) + 1);
  t.notRegex(leader.logs(), /not closed cleanly|leadership not handed over/);
});
