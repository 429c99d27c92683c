import test from 'ava';
import { ManualClock } from '../../src/base/clock.ts';
import { peerId, term as asTerm, type PeerId } from '../../src/base/ids.ts';
import { SeededRandom, type Random } from '../../src/base/random.ts';
import type { ClusterState } from '../../src/cluster/cluster-state.ts';
import { Bandwidth } from '../../src/data/bandwidth.ts';
import { BandwidthLeases } from '../../src/node/bandwidth-leases.ts';
import type { PeerNetwork, RequestHandler } from '../../src/peer/peer-network.ts';
import type { RaftStatus } from '../../src/raft/consensus.ts';

const LIMIT_BPS = 10_000_000;
const STEP_MS = 20;
const SEED = Number(process.env['LEASES_SEED'] ?? 1);
const RUNS = Number(process.env['LEASES_RUNS'] ?? 6);

/** Members whose fills take what they may, where the test lets them, on a network that it breaks. */
class Members {
  readonly clock = new ManualClock();
  readonly random: Random;
  readonly ids: readonly PeerId[];
  /** Who believes to lead in which term, and whom each member follows. */
  readonly leads = new Map<PeerId, number>();
  readonly follows = new Map<PeerId, PeerId | undefined>();
  readonly cut = new Set<PeerId>();
  readonly hungry = new Set<PeerId>();
  delayMs = (): number => 1;
  lossShare = 0;
  /** Bytes of all members in each step. */
  readonly came: number[] = [];
  readonly cameAt = new Map<PeerId, number>();
  readonly #handlers = new Map<PeerId, RequestHandler>();
  readonly #bandwidths = new Map<PeerId, Bandwidth>();
  readonly #leases: BandwidthLeases[] = [];
  /** What all members together were ever allowed at one moment. */
  allowedMostBps = 0;
  readonly #rates = new Map<PeerId, number>();
  #cameNow = 0;

  constructor(count: number, random: Random) {
    this.random = random;
    this.ids = Array.from({ length: count }, (_, index) => peerId(`peer-${index}`));
    for (const id of this.ids) this.#start(id);
  }

  #start(self: PeerId): void {
    const rates = this.#rates;
    const bandwidth = new (class extends Bandwidth {
      override setUfsRate(rateBps: number): void {
        rates.set(self, rateBps);
        super.setUfsRate(rateBps);
      }
    })(this.clock, 0);
    this.#bandwidths.set(self, bandwidth);
    const members = new Map(this.ids.map((id) => [id, { id, state: 'up' }]));
    const network = {
      onRequest: (_type: string, handler: RequestHandler) => this.#handlers.set(self, handler),
      request: (to: PeerId, _type: string, payload: unknown, deadlineMs: number) =>
        this.#request(self, to, payload, deadlineMs),
    } as unknown as PeerNetwork;
    const status = (): RaftStatus =>
      ({
        role: this.leads.has(self) ? 'leader' : 'follower',
        term: asTerm(this.leads.get(self) ?? 0),
      }) as RaftStatus;
    const leases = new BandwidthLeases({
      ...{ self, network, bandwidth, clock: this.clock },
      consensus: { status },
      state: () => ({ members }) as unknown as ClusterState,
      leader: () => this.follows.get(self),
      limits: { bandwidthBps: 0, clusterBandwidthBps: LIMIT_BPS },
    });
    this.#leases.push(leases);
    for (let taker = 0; taker < 3; taker++) void this.#receive(self, bandwidth);
  }

  async #receive(self: PeerId, bandwidth: Bandwidth): Promise<void> {
    const { signal } = new AbortController();
    const fill = { lengthBytes: 1_000_000, isFromUfs: true, isPrefetch: true };
    for (;;) {
      while (!this.hungry.has(self)) await this.#sleep(STEP_MS);
      const passage = await bandwidth.admit(fill, signal);
      for (let part = 0; part < 10; part++) {
        this.#cameNow += 100_000;
        this.cameAt.set(self, (this.cameAt.get(self) ?? 0) + 100_000);
        await passage?.pass(100_000, signal);
      }
      passage?.done();
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.setTimer(ms, resolve));
  }

  async #request(from: PeerId, to: PeerId, payload: unknown, deadlineMs: number): Promise<unknown> {
    const isLost = (): boolean =>
      this.cut.has(from) !== this.cut.has(to) || this.random.next() < this.lossShare;
    const lateMs = [this.delayMs(), this.delayMs()] as const;
    if (!isLost()) {
      await this.#sleep(lateMs[0]);
      const answer = await this.#handlers.get(to)?.(from, payload);
      if (!isLost() && lateMs[0] + lateMs[1] < deadlineMs) {
        await this.#sleep(lateMs[1]);
        return answer;
      }
    }
    await this.#sleep(deadlineMs);
    throw new Error('deadline');
  }

  lead(leader: PeerId, term: number, followers: readonly PeerId[] = this.ids): void {
    for (const id of this.leads.keys()) if (followers.includes(id)) this.leads.delete(id);
    this.leads.set(leader, term);
    for (const id of followers) this.follows.set(id, leader);
  }

  async run(forMs: number): Promise<void> {
    for (let ms = 0; ms < forMs; ms += STEP_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      this.clock.advance(STEP_MS);
      await new Promise((resolve) => setImmediate(resolve));
      const allowedBps = [...this.#rates.values()].reduce((sum, rateBps) => sum + rateBps, 0);
      this.allowedMostBps = Math.max(this.allowedMostBps, allowedBps);
      this.came.push(this.#cameNow);
      this.#cameNow = 0;
    }
  }

  /** The fullest and emptiest ten seconds since `fromMs`, as shares of the limit. */
  windows(fromMs = 0): { most: number; least: number } {
    const steps = 10_000 / STEP_MS;
    let most = 0;
    let least = Infinity;
    for (let at = fromMs / STEP_MS; at + steps <= this.came.length; at += 5) {
      const sum = this.came.slice(at, at + steps).reduce((all, bytes) => all + bytes, 0);
      most = Math.max(most, sum / (10 * LIMIT_BPS));
      least = Math.min(least, sum / (10 * LIMIT_BPS));
    }
    return { most, least };
  }

  close(): void {
    for (const leases of this.#leases) leases.close();
  }
}

function membersOf(count: number, seed = 1): Members {
  const members = new Members(count, new SeededRandom(seed));
  members.lead(members.ids[0] as PeerId, 1);
  return members;
}

for (const hungryCount of [1, 2, 3]) {
  test(`leases: ${hungryCount} of 3 members use the whole limit, evenly, and no more`, async (t) => {
    const members = membersOf(3);
    const hungry = members.ids.slice(0, hungryCount);
    for (const id of hungry) members.hungry.add(id);
    await members.run(5000);
    members.cameAt.clear();
    await members.run(20_000);
    members.close();
    const { most, least } = members.windows(5000);
    t.true(members.windows().most <= 1.05 && most <= 1.05, `${most}`);
    t.true(least >= 0.95, `${least}`);
    for (const id of hungry) {
      const share = (members.cameAt.get(id) ?? 0) / (20 * LIMIT_BPS);
      t.true(Math.abs(share * hungryCount - 1) < 0.05, `${id}: ${share}`);
    }
  });
}

test('leases: who begins later gets its part within seconds, who ends leaves it', async (t) => {
  const members = membersOf(3);
  const [one, two] = members.ids as [PeerId, PeerId, PeerId];
  members.hungry.add(one);
  await members.run(6000);
  members.hungry.add(two);
  await members.run(3000);
  members.cameAt.clear();
  await members.run(10_000);
  t.true((members.cameAt.get(two) ?? 0) > 0.45 * 10 * LIMIT_BPS);
  members.hungry.delete(two);
  await members.run(4000);
  members.cameAt.clear();
  await members.run(10_000);
  members.close();
  t.true((members.cameAt.get(one) ?? 0) > 0.95 * 10 * LIMIT_BPS);
  t.true(members.windows().most <= 1.05);
});

test('leases: without a leader a member stands for seconds at most, then has its share', async (t) => {
  const members = membersOf(3);
  const [one, two] = members.ids as [PeerId, PeerId, PeerId];
  members.hungry.add(one);
  await members.run(6000);
  members.leads.clear();
  for (const id of members.ids) members.follows.set(id, undefined);
  members.hungry.add(two);
  members.cameAt.clear();
  await members.run(5000);
  t.true((members.cameAt.get(one) ?? 0) > LIMIT_BPS, 'who had a lease goes on');
  t.true((members.cameAt.get(two) ?? 0) > 0, 'who had none begins');
  members.cameAt.clear();
  await members.run(10_000);
  members.close();
  for (const id of [one, two]) {
    const share = (members.cameAt.get(id) ?? 0) / (10 * LIMIT_BPS);
    t.true(share > 0.3 && share < 0.36, `${id}: ${share}`);
  }
  t.true(members.windows().most <= 1.05);
});

test('leases: over any ten seconds the sum keeps to the limit, whoever leads, is cut off or loses messages', async (t) => {
  for (let seed = SEED; seed < SEED + RUNS; seed++) {
    const members = membersOf(5, seed);
    const { random, ids } = members;
    const any = (): PeerId => ids[Math.floor(random.next() * ids.length)] as PeerId;
    members.delayMs = () => random.next() * 300;
    let term = 1;
    for (let phase = 0; phase < 12; phase++) {
      for (const id of ids) {
        if (random.next() < 0.5) members.hungry.add(id);
        else members.hungry.delete(id);
      }
      members.lossShare = random.next() < 0.5 ? 0 : 0.3;
      const roll = random.next();
      if (roll < 0.3) members.lead(any(), ++term);
      else if (roll < 0.5) {
        // A minority keeps its old leader for a while, the majority elects another.
        members.cut.clear();
        members.cut.add(members.follows.get(ids[0] as PeerId) ?? any()).add(any());
        await members.run(1000 + random.next() * 1000);
        const majority = ids.filter((id) => !members.cut.has(id));
        members.lead(majority[0] as PeerId, ++term, majority);
      } else if (roll < 0.7) members.cut.clear();
      else if (roll < 0.8) members.leads.clear();
      await members.run(1000 + random.next() * 5000);
    }
    members.close();
    const { most } = members.windows();
    const allowed = members.allowedMostBps / LIMIT_BPS;
    t.true(
      most <= 1.05 && allowed <= 1.001,
      `${most}, ${allowed}, LEASES_SEED=${seed} LEASES_RUNS=1`,
    );
  }
});
