/**
 * Starts a member: from nothing, from another member's snapshot to come, or from its own disk.
 *
 * All initial members begin with the same snapshot at index 1, term 1, which names the voters: a
 * configuration given at index 0 would not survive the loss of the first entries.
 */
import { RingloadError } from '../base/errors.ts';
import { logIndex, term } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import type { Consensus } from './consensus.ts';
import { RaftDriver } from './driver.ts';
import type { RaftCoreOptions } from './library.ts';
import { RaftCore } from './library.ts';
import type { LogImage, LogStorage } from './log-storage.ts';
import { EMPTY_CONFIGURATION, isMember } from './log-storage.ts';
import { LogTail } from './log-tail.ts';
import type { ConsensusOptions } from './options.ts';
import { tuningOf } from './options.ts';

/**
 * Resolves when everything known to be committed is applied to the state machine and the member
 * takes part. What goes wrong while it applies shows in `failed`.
 * @param createCore only tests give another one, to plant defects.
 * @throws data_corrupt, config_invalid; conflict when a bootstrap meets another cluster's log;
 * not_found when a restart finds nothing
 */
export async function createConsensus(
  options: ConsensusOptions,
  createCore: (options: RaftCoreOptions) => RaftCore = (given) => new RaftCore(given),
): Promise<Consensus> {
  const tuning = tuningOf(options);
  const image = (await loadImage(options)) ?? (await startImage(options));
  if (image.snapshot.index > 0) options.stateMachine.restore(image.snapshot.data);
  const tail = new LogTail(image);
  const core = createCore({
    id: options.id,
    tail,
    hardState: image.hardState,
    electionTicks: tuning.electionTicks,
    heartbeatTicks: tuning.heartbeatTicks,
    maxMessageBytes: tuning.maxMessageBytes,
    maxInflightMessages: tuning.maxInflightMessages,
    random: options.random,
    logger: options.logger,
  });
  const driver = new RaftDriver({ options, tuning, core, tail, hardState: image.hardState });
  await driver.start();
  return driver;
}

async function loadImage({ id, start, storage }: ConsensusOptions): Promise<LogImage | undefined> {
  const image = await storage.load();
  if (!image && start.kind === 'restart') {
    throw new RingloadError('not_found', `restart member ${id}: its raft log is gone`);
  }
  if (image && start.kind === 'bootstrap' && !isMember(image.snapshot.configuration, id)) {
    throw new RingloadError('conflict', `bootstrap member ${id}: found the log of another one`);
  }
  return image;
}

async function startImage(options: ConsensusOptions): Promise<LogImage> {
  const { id, start, storage, stateMachine } = options;
  invariant(start.kind !== 'restart', 'a restart without a log');
  if (start.kind === 'join') return store(storage, emptyImage());
  if (!start.voters.includes(id)) {
    throw new RingloadError('config_invalid', `bootstrap member ${id}: it is not among the voters`);
  }
  return store(storage, {
    snapshot: {
      index: logIndex(1),
      term: term(1),
      configuration: {
        ...EMPTY_CONFIGURATION,
        voters: [...start.voters].sort((a, b) => a - b),
      },
      data: stateMachine.serialize(),
    },
    hardState: { term: term(1), vote: undefined, commit: logIndex(1) },
    entries: [],
  });
}

function emptyImage(): LogImage {
  return {
    snapshot: {
      index: logIndex(0),
      term: term(0),
      configuration: EMPTY_CONFIGURATION,
      data: '',
    },
    hardState: { term: term(0), vote: undefined, commit: logIndex(0) },
    entries: [],
  };
}

async function store(storage: LogStorage, image: LogImage): Promise<LogImage> {
  await storage.replaceWith(image);
  return image;
}
