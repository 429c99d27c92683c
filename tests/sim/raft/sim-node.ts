/**
 * One member across its lives: a process that may crash at any operation and pause at any time,
 * over a disk that stays.
 */
import type { Clock, Timer } from '../../../src/base/clock.ts';
import { RingloadError } from '../../../src/base/errors.ts';
import type { RaftId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { Consensus, RaftStatus } from '../../../src/raft/consensus.ts';
import { createConsensus } from '../../../src/raft/create-consensus.ts';
import type { RaftCoreOptions } from '../../../src/raft/library.ts';
import { RaftCore } from '../../../src/raft/library.ts';
import type { LogStorage } from '../../../src/raft/log-storage.ts';
import type { ConsensusStart, ConsensusTuning } from '../../../src/raft/options.ts';
import { WalLogStorage } from '../../../src/raft/wal-log-storage.ts';
import { decodeMessage } from '../../../src/raft/wire-message.ts';
import type { Chance } from './chance.ts';
import { CountingMachine } from './counting-machine.ts';
import type { History } from './history.ts';
import { Violation } from './history.ts';
import { ObservedStorage } from './observed-storage.ts';
import { SimDisk } from './sim-disk.ts';
import type { SimNetwork } from './sim-network.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A defect for the checkers to find. */
export interface PlantedBug {
  readonly name: string;
  readonly wrapStorage?: (inner: LogStorage) => LogStorage;
  readonly createCore?: (options: RaftCoreOptions) => RaftCore;
  /** A disk that says synced and is not. */
  readonly liesAboutSync?: boolean;
  /** Shows only where leaders hardly last. */
  readonly needsChurn?: boolean;
  /** Where the search for it begins: a seed that met it. Default 1. */
  readonly firstSeed?: number;
  /** So rare by chance that a directed test looks for it. */
  readonly isDirected?: boolean;
}

export interface DiskWeather {
  /** Longest sync; most are much shorter. */
  syncMaxMs: number;
  failSyncs: number;
}

export interface SimWorld {
  readonly time: VirtualTime;
  readonly network: SimNetwork;
  readonly history: History;
  readonly chance: Chance;
  readonly disk: DiskWeather;
  readonly tuning: Partial<ConsensusTuning>;
  readonly bug: PlantedBug | undefined;
  readonly counts: Record<string, number>;
  violated(violation: Error): void;
}

interface Life {
  isOver: boolean;
  consensus: Consensus | undefined;
  /** What it last said of itself. */
  seen: RaftStatus | undefined;
  readonly machine: CountingMachine;
}

export class SimNode {
  readonly id: RaftId;
  readonly disk = new SimDisk();
  readonly #world: SimWorld;
  #life: Life | undefined;
  #isPaused = false;
  #backlog: (() => void)[] = [];
  /** Operations until this life crashes. */
  #fuse = Number.POSITIVE_INFINITY;
  /** Gone for good: removed from the cluster, or its disk is lost. */
  isRetired = false;
  readonly #clockRate: number;

  /** How it starts as long as it has stored nothing. */
  readonly firstStart: ConsensusStart;

  constructor(id: RaftId, world: SimWorld, firstStart: ConsensusStart) {
    this.id = id;
    this.firstStart = firstStart;
    this.#world = world;
    this.#clockRate = world.chance.between(0.9, 1.1);
    world.network.attach(id, {
      receive: (message) => {
        this.#deliver(this.#life, (life) => life.consensus?.receive(message));
      },
      unreachable: (to) => {
        this.#deliver(this.#life, (life) => life.consensus?.reportUnreachable(to));
      },
    });
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }
  /** Undefined while it is down or still starting. */
  get consensus(): Consensus | undefined {
    return this.#life?.consensus;
  }
  get machine(): CountingMachine | undefined {
    return this.#life?.machine;
  }

  start(start: ConsensusStart): void {
    const world = this.#world;
    const life: Life = {
      isOver: false,
      consensus: undefined,
      seen: undefined,
      machine: new CountingMachine({
        applied: (command, state) => {
          this.#guard(life, () => {
            world.history.applied(this.id, command, state);
          });
        },
        restored: (state) => {
          this.#guard(life, () => {
            world.history.restored(this.id, state);
          });
        },
      }),
    };
    this.#life = life;
    const createCore = world.bug?.createCore ?? ((options) => new RaftCore(options));
    createConsensus(
      {
        ...world.tuning,
        id: this.id,
        start,
        storage: this.#storage(life),
        stateMachine: life.machine,
        transport: {
          send: (to, message, onOutcome) => {
            this.#send(life, to, message, onOutcome);
          },
        },
        clock: this.#clock(life),
        random: world.chance.random,
        logger: silentLogger,
      },
      createCore,
    ).then(
      (consensus) => {
        if (life.isOver) return;
        life.consensus = consensus;
        void consensus.failed.then((error) => {
          this.#failed(life, error);
        });
        this.check();
      },
      (error: unknown) => {
        this.#failed(life, error as Error);
      },
    );
  }

  /** Crashes now, or when `operations` more sends and disk operations have begun. */
  crash(operations = 0): void {
    if (!this.#life) return;
    if (operations > 0) {
      this.#fuse = operations;
      return;
    }
    this.#world.counts['crashes'] = (this.#world.counts['crashes'] ?? 0) + 1;
    this.#life.isOver = true;
    this.#life = undefined;
    this.#fuse = Number.POSITIVE_INFINITY;
    this.#backlog = [];
    this.#isPaused = false;
    this.disk.crash(this.#world.chance);
    this.#world.history.crashed(this.id);
  }

  pause(): void {
    if (this.#life) this.#isPaused = true;
  }

  /** What came meanwhile comes all at once. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const action of backlog) action();
    this.check();
  }

  /** Looks at what the member says of itself. */
  check(): void {
    const life = this.#life;
    if (!life?.consensus) return;
    const status = life.consensus.status();
    if (status === life.seen) return;
    life.seen = status;
    this.#guard(life, () => {
      this.#world.history.observed(status);
    });
  }

  #storage(life: Life): LogStorage {
    const world = this.#world;
    const files = this.disk.access({
      complete: (kind, complete) => {
        if (this.#burn(life)) return;
        const latencyMs = kind === 'quick' ? world.chance.between(0, 0.2) : this.#syncLatencyMs();
        world.time.after(latencyMs, () => {
          this.#deliver(life, complete);
        });
      },
      isDead: () => life.isOver,
      shouldFailSync: () => world.chance.hit(world.disk.failSyncs),
      liesAboutSync: world.bug?.liesAboutSync ?? false,
    });
    const wal = new WalLogStorage(files, silentLogger);
    const observed = new ObservedStorage(
      wal,
      world.history,
      this.id,
      (check) => {
        this.#guard(life, check);
      },
      () =>
        life.consensus?.status().voters ??
        world.history.durableOf(this.id)?.snapshot.configuration.voters ??
        [],
    );
    return world.bug?.wrapStorage?.(observed) ?? observed;
  }

  #syncLatencyMs(): number {
    const { chance, disk } = this.#world;
    return chance.hit(0.9) ? chance.between(0.1, 2) : chance.between(0.1, disk.syncMaxMs);
  }

  #clock(life: Life): Clock {
    const { time } = this.#world;
    return {
      nowMs: () => time.nowMs * this.#clockRate,
      wallMs: () => time.nowMs,
      setTimer: (delayMs, callback): Timer => {
        let isCancelled = false;
        const timer = time.after(delayMs / this.#clockRate, () => {
          this.#deliver(life, () => {
            if (!isCancelled) callback();
          });
        });
        return {
          cancel: () => {
            isCancelled = true;
            timer.cancel();
          },
        };
      },
    };
  }

  #send(
    life: Life,
    to: RaftId,
    text: string,
    onOutcome: ((delivered: boolean) => void) | undefined,
  ): void {
    if (this.#burn(life)) return;
    const message = decodeMessage(text);
    this.#guard(life, () => {
      if (!message) throw new Violation('codec', `cannot decode ${text}`);
      this.#world.history.sent(message);
    });
    const outcome =
      onOutcome &&
      ((delivered: boolean) => {
        this.#deliver(life, () => {
          onOutcome(delivered);
        });
      });
    this.#world.network.send(this.id, to, text, outcome);
  }

  /** Counts an operation; true when this life is over, maybe because of it. */
  #burn(life: Life): boolean {
    if (life.isOver) return true;
    if (--this.#fuse > 0) return false;
    this.crash();
    return true;
  }

  #deliver(life: Life | undefined, action: (life: Life) => void): void {
    if (!life || life.isOver) return;
    if (this.#isPaused) {
      this.#backlog.push(() => {
        this.#deliver(life, action);
      });
      return;
    }
    action(life);
  }

  #guard(life: Life, check: () => void): void {
    if (life.isOver) return;
    try {
      check();
    } catch (error) {
      this.#world.violated(error as Error);
    }
  }

  #failed(life: Life, error: Error): void {
    if (life.isOver) return;
    const isRemoved = error instanceof RingloadError && error.details['removed'] === true;
    const isDisk = error.message.startsWith('EIO');
    if (!isRemoved && !isDisk) {
      this.#world.violated(new Violation('health', `member ${this.id} failed: ${error.message}`));
      return;
    }
    const kind = isRemoved ? 'removedStops' : 'failedSyncs';
    this.#world.counts[kind] = (this.#world.counts[kind] ?? 0) + 1;
    this.crash();
    this.isRetired ||= isRemoved;
  }
}
