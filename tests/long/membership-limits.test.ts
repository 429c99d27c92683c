/** A leader that is told to end while it has many readers. */
import { createHash } from 'node:crypto';
import { get, type IncomingMessage } from 'node:http';
import test from 'ava';
import { pathOf } from '../fault/expect.ts';
import { Stage } from '../fault/stage.ts';
import type { Peer } from '../support/peer-process.ts';

const MIB = 1024 * 1024;
const READ_COUNT = 20;
/** What a peer gives to answers in flight, less what timers may be early. */
const GRACE_MS = 4_900;

/** A response whose head is there and whose body nobody reads yet. */
function openRead(peer: Peer, key: string): Promise<IncomingMessage> {
  const url = `${peer.restUrl}/v1/files/content?path=${encodeURIComponent(pathOf(key))}`;
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.pause();
      resolve(response);
    }).once('error', reject);
  });
}

async function sha256Of(response: IncomingMessage): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest('hex');
}

test.serial(
  'limits: SIGTERM with many reads in flight, none is cut within the grace period, the lead is handed over',
  async (t) => {
    await using stage = await Stage.open({ peers: 3 });
    const data = stage.addFiles({ count: 4, sizeBytes: 3 * MIB });
    await (await stage.load(data, { replicas: 2 })).succeeds();
    const leader = await stage.cluster.waitForLeader();
    const keys = Array.from(
      { length: READ_COUNT },
      (_unused, number) => data.keys[number % 4] ?? '',
    );
    const responses = await Promise.all(keys.map((key) => openRead(leader, key)));
    t.deepEqual([...new Set(responses.map(({ statusCode }) => statusCode))], [200]);
    const startMs = performance.now();
    const ended = leader.stop(60_000);
    const outcomes = await Promise.all(
      responses.map(async (response, position) => {
        const digest = await sha256Of(response).catch(() => undefined);
        if (digest === undefined) return performance.now() - startMs < GRACE_MS ? 'cut' : 'late';
        const expected = stage.origin.expectedSha256(keys[position] ?? '');
        return digest === expected ? 'whole' : 'wrong';
      }),
    );
    const count = (kind: string): number => outcomes.filter((outcome) => outcome === kind).length;
    t.log(`${count('whole')} whole, ${count('late')} cut after the grace period`);
    t.is(count('wrong'), 0, 'bodies that ended orderly and are not the file');
    t.is(count('cut'), 0, leader.logs());
    t.true(count('whole') > 0);
    t.deepEqual(await ended, { code: 0, signal: null }, leader.logs());
    t.notRegex(leader.logs(), /not closed cleanly|leadership not handed over/);
    await stage.cluster.waitForLeader({ other: leader });
  },
);
