/** Commands and states for tests of `apply`. */
import { clusterId, jobId, peerId, term, type PeerId } from '../../src/base/ids.ts';
import { apply } from '../../src/cluster/apply.ts';
import { EMPTY_STATE, type ClusterState } from '../../src/cluster/cluster-state.ts';
import type { Command, CommandResult } from '../../src/cluster/commands.ts';
import type { JobCheckpoint } from '../../src/cluster/job-record.ts';
import type { Announcement } from '../../src/cluster/member.ts';

export const CHECKPOINT: JobCheckpoint = {
  pass: 1,
  epoch: 1,
  listingDone: false,
  counters: {},
  tallies: {},
  expected: {},
  failures: [],
};

export function announcement(name: string, changes: Partial<Announcement> = {}): Announcement {
  return {
    id: peerId(name),
    address: `${name}:1`,
    dataEndpoint: `http://${name}:2`,
    weight: 1,
    zone: '',
    capacityBytes: 1000,
    generation: 1,
    ...changes,
  };
}

/** A cluster to which commands are given one after the other. */
export class World {
  state: ClusterState = EMPTY_STATE;
  atMs = 0;

  give(command: Command): CommandResult {
    const { state, result } = apply(this.state, command);
    this.state = state;
    return result;
  }

  /** The value of a command that has to succeed. */
  value(command: Command): unknown {
    const result = this.give(command);
    if (!result.ok) throw new Error(`${command.kind}: ${result.error.message}`);
    return result.value;
  }

  code(command: Command): string | undefined {
    const result = this.give(command);
    return result.ok ? undefined : result.error.code;
  }

  /** Founds a cluster of `names`, all of them up. */
  found(...names: string[]): this {
    const [first = 'p1', ...others] = names;
    const founder = announcement(first);
    this.value({ kind: 'cluster.create', clusterId: clusterId('c'), founder, atMs: 0 });
    for (const name of others) {
      this.value({ kind: 'member.admit', member: announcement(name), atMs: 0 });
    }
    for (const name of [first, ...others]) this.announce(name);
    return this;
  }

  announce(name: string, changes: Partial<Announcement> = {}): CommandResult {
    const member = announcement(name, changes);
    return this.give({ kind: 'member.announce', member, atMs: ++this.atMs });
  }

  submit(
    id: string,
    path: string,
    options: {
      replicas?: number;
      max?: number;
      segment?: number;
      segmented?: boolean;
      paths?: readonly string[];
      index?: object;
      priority?: 'high' | 'medium' | 'low';
    } = {},
  ): Command {
    const { replicas = 1, segment = 1024, segmented = true } = options;
    const { paths, index, priority } = options;
    const spec = {
      ...{ path, replicaCount: replicas, segmentSizeBytes: segment, segmented },
      ...(paths && { paths }),
      ...(index && { index }),
      ...(priority && { priority }),
    };
    const activeMaxCount = options.max ?? 10;
    return { kind: 'job.submit', jobId: jobId(id), spec, activeMaxCount, atMs: ++this.atMs };
  }

  stop(id: string): Command {
    return { kind: 'job.stop', jobId: jobId(id), atMs: ++this.atMs };
  }

  retry(id: string): Command {
    return { kind: 'job.retry', jobId: jobId(id), atMs: ++this.atMs };
  }

  checkpoint(
    id: string,
    run: number,
    inTerm: number,
    checkpoint: Partial<JobCheckpoint> = {},
  ): Command {
    return {
      kind: 'job.checkpoint',
      jobId: jobId(id),
      run,
      term: term(inTerm),
      state: 'RUNNING',
      checkpoint: { ...CHECKPOINT, ...checkpoint },
    };
  }

  finish(id: string, run: number, inTerm: number, state: 'SUCCEEDED' | 'FAILED'): Command {
    return {
      kind: 'job.finish',
      jobId: jobId(id),
      run,
      term: term(inTerm),
      state,
      checkpoint: { ...CHECKPOINT, listingDone: true, counters: { listedFiles: 3 } },
      ...(state === 'FAILED' && { failure: { code: 'partially_failed', message: 'some' } }),
      atMs: ++this.atMs,
    };
  }

  stateOf(id: string): string | undefined {
    return this.state.jobs.get(jobId(id))?.state;
  }

  memberState(name: string): string | undefined {
    return this.state.members.get(peerId(name))?.state;
  }

  judge(name: string, verdict: 'up' | 'suspect' | 'down', generation = 1): Command {
    const id: PeerId = peerId(name);
    return { kind: 'member.judge', id, generation, verdict, atMs: ++this.atMs };
  }
}
