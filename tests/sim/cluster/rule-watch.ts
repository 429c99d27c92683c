/**
 * What rules and frees promise, looked at while the cluster works: who reads after a free gets what
 * the store had since; a bound on staleness is kept; what is pinned stays; a quota is not outgrown.
 */
import type { FreeReport } from '../../../src/residence/report.ts';
import { coversRecord } from '../../../src/cluster/free-roll.ts';
import { isAtOrBelow } from '../../../src/ufs/path.ts';
import type { RuleBook } from '../../../src/cluster/rule-book.ts';
import { keysOf } from './history.ts';
import type { Plan } from './plan.ts';
import { letsGo } from './plan-rules.ts';
import { SEGMENT_BYTES } from './sim-config.ts';
import { segmentName, type Services, type SimPeer } from './sim-peer.ts';
import type { World } from './world.ts';

/** Between two looks at what is resident. */
const LOOK_MS = 500;
/** Rules and rings that nobody changed for so long are in force everywhere. */
const SETTLED_MS = 1500;
/** A page may be so old, and what it says is loaded then. */
const LIE_MS = 3000;
/** Clocks run up to 3 % slow. */
const SLOWEST_CLOCK = 1.035;

/** What one life of a peer held, and under which rules. */
interface Look {
  readonly life: object;
  readonly names: ReadonlySet<string>;
  readonly book: RuleBook;
  readonly lastFree: number;
  readonly dropCount: number;
}

export class RuleWatch {
  /** Something of what is loaded may go, by a free, a time or a quota. */
  readonly letsGo: boolean;
  readonly #world: World;
  readonly #peers: readonly SimPeer[];
  readonly #watchesPins: boolean;
  readonly #watchesQuotas: boolean;
  #nextMs = 0;
  #looks = new Map<SimPeer, Look>();
  #settled = { what: '', sinceMs: 0 };
  readonly #totals = new Map<string, number>();

  constructor(world: World, peers: readonly SimPeer[], { steps }: Plan) {
    this.#world = world;
    this.#peers = peers;
    this.letsGo = steps.some(letsGo);
    const rules = steps.flatMap((step) => (step.kind === 'rule' ? [step.changes] : []));
    const isTakenAway = steps.some(
      (step) =>
        (step.kind === 'free' && step.evenPinned) || (step.kind === 'submit' && step.reload),
    );
    this.#watchesPins = !isTakenAway && rules.some(({ pinned }) => pinned === true);
    this.#watchesQuotas = rules.some(({ quotaBytes }) => typeof quotaBytes === 'number');
  }

  /** @returns to be told which version came. */
  readBegins({ cluster, rules }: Services, path: string): (version: string) => void {
    const { history, ufs, time, counts } = this.#world;
    const startMs = time.nowMs;
    const frees = cluster.state.current.frees.filter(
      (free) =>
        isAtOrBelow(free.path, path) && free.jobs.length === 0 && coversRecord(free, { path }),
    );
    const freedMs = Math.max(0, ...frees.map(({ number }) => history.freeMs.get(number) ?? 0));
    const freshness = rules.freshnessOf(path);
    return (name) => {
      const version = ufs.versionOf(path, name);
      if (!version) return;
      if (freedMs > 0 && !ufs.wasLiedAboutSince(path, freedMs - LIE_MS))
        this.#world.check('free', version.untilMs >= freedMs, () => {
          return `${path}@${name}, gone at ${Math.round(version.untilMs)} ms, was freed at ${Math.round(freedMs)}, and read at ${Math.round(startMs)}`;
        });
      if (typeof freshness === 'string') return;
      const { revalidateAfterMs } = freshness;
      // A process that stands still counts no time.
      if (revalidateAfterMs > 0 && (counts.get('fault.pause') ?? 0) > 0) return;
      const oldestMs = startMs - revalidateAfterMs * SLOWEST_CLOCK;
      this.#world.check('rules', version.untilMs >= oldestMs, () => {
        return `${path}@${name}, gone at ${Math.round(version.untilMs)} ms, was read at ${Math.round(startMs)}, though it may be ${revalidateAfterMs} ms old`;
      });
    };
  }

  /** A free was reported: who has let go knows nothing older any more. */
  async freed(path: string, { peers }: FreeReport): Promise<void> {
    const { frees } = this.#world.history.state;
    for (const { id, error } of peers) {
      const peer = this.#peers.find((each) => each.id === id);
      if (!peer || error !== undefined) continue;
      const done = frees.filter((free) => free.path === path && !free.waitsFor.includes(id));
      await this.checkRecords(peer, done);
    }
  }

  /** None of its records is older than one of the frees that cover it. */
  async checkRecords(peer: SimPeer, frees: World['history']['state']['frees']): Promise<void> {
    for (const record of await peer.catalog.scan({ root: '', limit: 1000 })) {
      const free = frees.find(
        (each) => isAtOrBelow(each.path, record.path) && coversRecord(each, record),
      );
      this.#world.check('free', free === undefined, () => {
        return `${peer.address} has let go of ${String(free?.path)}, and knows ${record.path} of before`;
      });
    }
  }

  sample(): void {
    const { nowMs } = this.#world.time;
    if (nowMs < this.#nextMs || !(this.#watchesPins || this.#watchesQuotas)) return;
    this.#nextMs = nowMs + LOOK_MS;
    const looks = new Map(this.#peers.flatMap((peer) => this.#look(peer)));
    // What is resident is told before anything else happens.
    void Promise.resolve()
      .then(() => undefined)
      .then(() => undefined)
      .then(() => {
        if (this.#watchesPins) this.#checkPins(looks);
        if (this.#watchesQuotas) this.#checkQuotas(looks);
        this.#looks = looks;
      });
  }

  #look(peer: SimPeer): [SimPeer, Look][] {
    const { running } = peer;
    if (!running?.services || !running.store) return [];
    const { cluster, rules } = running.services;
    const { frees, lastFree } = cluster.state.current;
    // What it has not let go of yet may go at any moment.
    const isWaitedFor = frees.some(({ waitsFor }) => waitsFor.includes(peer.id));
    const { corruptSegmentCount, directories } = running.store.usage();
    const failed = directories.filter(({ state }) => state === 'failed').length;
    const look = {
      life: running.life,
      names: peer.resident(),
      book: rules.book,
      lastFree: isWaitedFor ? Number.NaN : lastFree,
      dropCount: corruptSegmentCount + 1000 * failed,
    };
    return [[peer, look]];
  }

  #checkPins(looks: ReadonlyMap<SimPeer, Look>): void {
    for (const [peer, now] of looks) {
      const before = this.#looks.get(peer);
      const isSame =
        before?.life === now.life &&
        before.book === now.book &&
        before.lastFree === now.lastFree &&
        before.dropCount === now.dropCount;
      if (!isSame) continue;
      const lost = [...before.names].find(
        (name) => !now.names.has(name) && now.book.effective(pathIn(name)).pinned === true,
      );
      this.#world.check('rules', lost === undefined, () => {
        return `${peer.address} let go of ${String(lost)}, which is pinned`;
      });
    }
  }

  #checkQuotas(looks: ReadonlyMap<SimPeer, Look>): void {
    const { nowMs } = this.#world.time;
    const states = this.#peers.flatMap((peer) => {
      if (peer.isRetired) return [];
      const state = peer.services?.cluster.state.current;
      return [state ? JSON.stringify([state.epoch, [...state.rules]]) : peer.address];
    });
    const [first = ''] = states;
    const isAgreed = looks.size === states.length && states.every((state) => state === first);
    if (!isAgreed || this.#settled.what !== first) {
      this.#settled = { what: isAgreed ? first : '', sinceMs: nowMs };
      this.#totals.clear();
    }
    if (!isAgreed || nowMs - this.#settled.sinceMs < SETTLED_MS) return;
    const sizes = this.#sizes();
    for (const { path, quotaBytes } of [...looks.values()][0]?.book.rules ?? []) {
      if (quotaBytes === undefined) continue;
      for (const [peer, { names }] of looks) {
        const share = peer.services?.cluster.ring.ring().shares().get(peer.id) ?? 0;
        const total = [...names]
          .filter((name) => isAtOrBelow(path, pathIn(name)))
          .reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
        // What was leased, or lay there before, may be more than the share of a peer for a while.
        const before = this.#totals.get(`${peer.address} ${path}`) ?? Infinity;
        this.#totals.set(`${peer.address} ${path}`, total);
        this.#world.check('rules', total <= Math.max(quotaBytes * share, before), () => {
          return `${peer.address} holds ${total} bytes of ${path}, ${before} before, where ${quotaBytes * share} may lie`;
        });
      }
    }
  }

  #sizes(): ReadonlyMap<string, number> {
    const sizes = new Map<string, number>();
    for (const version of [...this.#world.ufs.versions.values()].flat()) {
      for (const key of keysOf(version)) {
        const start = key.index * SEGMENT_BYTES;
        sizes.set(segmentName(key), Math.min(SEGMENT_BYTES, version.sizeBytes - start));
      }
    }
    return sizes;
  }
}

/** Of a segment's name: no path of a run has an `@` in it. */
function pathIn(name: string): string {
  return name.slice(0, name.indexOf('@'));
}
