/**
 * Who writes through a peer has all peers look the path up anew: before the store is touched, so
 * that a writer which dies leaves nobody with an old version, and again when the write is over, so
 * that a client which was told of its success reads what it wrote, through whichever peer.
 *
 * A member that cannot be reached is told when its link comes back; until then it serves what it
 * has. What it may have handed to others meanwhile they then forget again. News that waits is kept
 * in memory: a writer that restarts before the other one is back has forgotten it.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { toRingloadError } from '../base/errors.ts';
import type { PeerId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import type { FileCatalog } from '../cache/file-catalog.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import type { WrittenPaths } from '../read/written-paths.ts';
import type { WriteNotice, WriteNotices } from '../s3/writes.ts';
import { UntoldNews } from './untold-news.ts';

const BEGIN = 'write.begin';
const END = 'write.end';
/** Who is linked answers in milliseconds; one that has stopped is unlinked in this time. */
const DEADLINE_MS = 3000;
/** Paths of one message: all together stay far below the largest that is sent. */
const PATHS_MAX_COUNT = 200;
const SWEEP_MS = 20_000;
/** How long a path stays noted at least. */
const NOTE_MS = 60_000;
const SETTLED_MAX_COUNT = 200;
/** In place of one write: all that the sender had under way on these paths. */
const ALL_WRITES = '';

interface Begin {
  readonly write: string;
  readonly paths: readonly string[];
}

interface End extends Begin {
  readonly mayHaveChanged: boolean;
}

export interface WriteNewsOptions {
  readonly self: PeerId;
  /** Different for each start of this peer. */
  readonly startId: string;
  readonly network: PeerNetwork;
  readonly members: () => readonly PeerId[];
  readonly written: WrittenPaths;
  readonly catalog: Pick<FileCatalog, 'getAll' | 'deleteAll'>;
  /** A running job loads the file: its records stay until it has ended. */
  readonly isInUse: (path: string) => boolean;
  /** The version that the store has now; undefined: no such file. @throws when it cannot tell */
  readonly versionAtStore: (path: string) => Promise<string | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class WriteNews implements WriteNotices {
  readonly #options: WriteNewsOptions;
  readonly #untold: UntoldNews;
  readonly #forgetters: ((path: string) => void)[] = [];
  #count = 0;
  #sweep: Timer | undefined;
  #isClosed = false;

  constructor(options: WriteNewsOptions) {
    const { network, logger } = options;
    this.#options = options;
    this.#untold = new UntoldNews(logger);
    network.onRequest(BEGIN, async (_from, payload) => {
      this.#begun(payload as Begin);
      return null;
    });
    network.onRequest(END, async (from, payload) => {
      const ended = payload as End;
      if (ended.write === ALL_WRITES) this.#closeWritesOf(from, ended.paths);
      await this.#ended(ended);
      return null;
    });
    network.onLinkChange(({ peerId, connected }) => {
      if (connected) void this.#tellUntold(peerId);
      else void this.#lost(peerId);
    });
    this.#sweepLater();
  }

  async begin(paths: readonly string[]): Promise<WriteNotice> {
    const { self, startId } = this.#options;
    const write = `${self} ${startId} ${++this.#count}`;
    const begun = { write, paths };
    this.#begun(begun);
    const untold = await this.#tellAll(BEGIN, begun);
    return { end: (mayHaveChanged) => this.#end({ ...begun, mayHaveChanged }, untold) };
  }

  /** @param forget is to let go of what else is remembered of a path. */
  onForget(forget: (path: string) => void): void {
    this.#forgetters.push(forget);
  }

  close(): void {
    this.#isClosed = true;
    this.#sweep?.cancel();
  }

  /** @param untold members that do not know of the write. */
  async #end(ended: End, untold: readonly PeerId[] = []): Promise<void> {
    const here = this.#ended(ended).catch((thrown: unknown) => {
      this.#warn('could not forget what was written', thrown);
    });
    const missed = await this.#tellAll(END, ended);
    await here;
    for (const peer of missed) {
      if (ended.mayHaveChanged || !untold.includes(peer)) this.#untold.add(peer, ended.paths);
    }
  }

  /** @returns the members that did not take it */
  async #tellAll(type: string, news: Begin): Promise<PeerId[]> {
    const { self } = this.#options;
    const others = this.#options.members().filter((peer) => peer !== self);
    const missed = await Promise.all(
      others.map((peer) =>
        this.#tell(peer, type, news).then(
          () => [],
          () => [peer],
        ),
      ),
    );
    return missed.flat();
  }

  async #tell(peer: PeerId, type: string, news: Begin): Promise<void> {
    const parts: Promise<unknown>[] = [];
    for (let at = 0; at < news.paths.length; at += PATHS_MAX_COUNT) {
      const part = { ...news, paths: news.paths.slice(at, at + PATHS_MAX_COUNT) };
      parts.push(this.#options.network.request(peer, type, part, DEADLINE_MS));
    }
    await Promise.all(parts);
  }

  #begun({ write, paths }: Begin): void {
    for (const path of paths) {
      this.#options.written.begin(path, write);
      this.#forget(path);
    }
  }

  async #ended({ write, paths, mayHaveChanged }: End): Promise<void> {
    const { written, isInUse } = this.#options;
    for (const path of paths) {
      written.end(path, write, mayHaveChanged);
      if (mayHaveChanged) this.#forget(path);
    }
    if (mayHaveChanged) await this.#deleteRecords(paths.filter((path) => !isInUse(path)));
  }

  #forget(path: string): void {
    for (const forget of this.#forgetters) forget(path);
  }

  async #deleteRecords(paths: readonly string[]): Promise<void> {
    const { catalog } = this.#options;
    const known = await catalog.getAll(paths);
    const there = paths.filter((_path, index) => known[index] !== undefined);
    if (there.length > 0) await catalog.deleteAll(there);
  }

  /** What a writer had under way that is gone may have taken effect. */
  async #lost(peer: PeerId): Promise<void> {
    const open = this.#options.written.openOf((write) => write.startsWith(`${peer} `));
    for (const { path, write } of open) {
      await this.#ended({ write, paths: [path], mayHaveChanged: true }).catch((thrown: unknown) => {
        this.#warn('could not forget what was written', thrown);
      });
    }
  }

  async #tellUntold(peer: PeerId): Promise<void> {
    const parts = this.#untold.take(peer, PATHS_MAX_COUNT);
    for (let paths = parts.shift(); paths; paths = parts.shift()) {
      const ended = { write: ALL_WRITES, paths, mayHaveChanged: true };
      try {
        await this.#tell(peer, END, ended);
      } catch {
        this.#untold.add(peer, [...paths, ...parts.flat()]);
        return;
      }
      // What it still had it may have handed to them.
      await this.#end(ended);
    }
  }

  #closeWritesOf(peer: PeerId, paths: readonly string[]): void {
    const { written } = this.#options;
    const about = new Set(paths);
    for (const { path, write } of written.openOf((one) => one.startsWith(`${peer} `))) {
      if (about.has(path)) written.end(path, write, true);
    }
  }

  #sweepLater(): void {
    if (this.#isClosed) return;
    this.#sweep = this.#options.clock.setTimer(SWEEP_MS, () => {
      void this.#settle()
        .catch((thrown: unknown) => {
          this.#warn('could not look after what was written', thrown);
        })
        .finally(() => {
          this.#sweepLater();
        });
    });
  }

  /** Once no load that listed an old version runs, what is recorded is made right for good. */
  async #settle(): Promise<void> {
    const { written, isInUse, members } = this.#options;
    const present = new Set(members());
    this.#untold.keepOnly(present);
    for (const peer of present) await this.#tellUntold(peer);
    const resting = written.restingFor(NOTE_MS).filter((path) => !isInUse(path));
    for (const path of resting.slice(0, SETTLED_MAX_COUNT)) {
      if (this.#isClosed) return;
      await this.#settleOne(path).catch(() => undefined);
    }
  }

  async #settleOne(path: string): Promise<void> {
    const { written, catalog, versionAtStore } = this.#options;
    const [record] = await catalog.getAll([path]);
    if (record && (await versionAtStore(path)) !== record.version) await catalog.deleteAll([path]);
    written.drop(path);
  }

  #warn(message: string, thrown: unknown): void {
    const { code, message: error } = toRingloadError(thrown);
    this.#options.logger.warn(message, { code, error });
  }
}
