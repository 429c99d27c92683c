/**
 * Commands about frees. Each is remembered until all members have let go; and the last of them a
 * while longer, for what is still on its way between peers.
 */
import type { PeerId } from '../base/ids.ts';
import { isAtOrBelow } from '../ufs/path.ts';
import { done, refuse, type Applied } from './applied.ts';
import type { ClusterState } from './cluster-state.ts';
import type { CommandOf } from './commands.ts';
import type { FreeRecord } from './free-record.ts';
import { isActiveState, type RecordedSpec } from './job-record.ts';
import { isPresent } from './member.ts';

/** Frees that wait for members: a member that is away for so many has to be removed first. */
export const OPEN_FREE_MAX_COUNT = 1000;
/** Frees that are remembered after all members have let go. */
const DONE_FREE_MAX_COUNT = 100;

export function applyFreeCommand(
  state: ClusterState,
  command: CommandOf<'cache.free' | 'cache.freed'>,
): Applied {
  return command.kind === 'cache.free' ? free(state, command) : freed(state, command);
}

function free(state: ClusterState, command: CommandOf<'cache.free'>): Applied {
  const { path, evenPinned } = command;
  if (state.frees.filter(isOpen).length >= OPEN_FREE_MAX_COUNT) {
    const message = `free ${path}: ${String(OPEN_FREE_MAX_COUNT)} frees wait for members that are away`;
    return refuse(state, 'conflict', message);
  }
  const touches = (other: string): boolean => isAtOrBelow(path, other) || isAtOrBelow(other, path);
  const number = state.lastFree + 1;
  const active = [...state.jobs.values()].filter((job) => isActiveState(job.state));
  const record: FreeRecord = {
    ...{ number, path },
    inUse: active.flatMap(({ spec }) => rootsOf(spec)).filter(touches),
    jobs: active.filter(({ spec }) => spec.index !== undefined).map(({ id }) => id),
    pins: [...state.rules.values()].flatMap(({ path: above, pinned }) =>
      !evenPinned && pinned !== undefined && touches(above) ? [{ path: above, pinned }] : [],
    ),
    waitsFor: [...state.members.values()].filter(isPresent).map(({ id }) => id),
  };
  return done({ ...state, lastFree: number, frees: bounded([...state.frees, record]) }, { number });
}

function freed(state: ClusterState, { peer, number }: CommandOf<'cache.freed'>): Applied {
  const isMeant = (each: FreeRecord): boolean =>
    each.number <= number && each.waitsFor.includes(peer);
  if (!state.frees.some(isMeant)) return done(state, {});
  const frees = state.frees.map((each) => (isMeant(each) ? without(each, peer) : each));
  return done({ ...state, frees: bounded(frees) }, {});
}

/** Nobody waits for a member that has left. */
export function withoutGoneMembers(state: ClusterState): ClusterState {
  const isGone = (peer: PeerId): boolean => {
    const member = state.members.get(peer);
    return member === undefined || !isPresent(member);
  };
  const gone = new Set(state.frees.flatMap(({ waitsFor }) => waitsFor.filter(isGone)));
  if (gone.size === 0) return state;
  let { frees } = state;
  for (const peer of gone) frees = frees.map((each) => without(each, peer));
  return { ...state, frees: bounded(frees) };
}

/** A load may count on what a member is about to let go of. */
export function withOvertakenFrees(state: ClusterState): ClusterState {
  const isNews = (each: FreeRecord): boolean => isOpen(each) && each.isOvertaken !== true;
  if (!state.frees.some(isNews)) return state;
  const frees = state.frees.map((each): FreeRecord =>
    isNews(each) ? { ...each, isOvertaken: true } : each,
  );
  return { ...state, frees };
}

/** What an index file lists is not known here. */
function rootsOf({ path, paths, index }: RecordedSpec): readonly string[] {
  return index === undefined ? (paths ?? [path]) : [];
}

function isOpen({ waitsFor }: FreeRecord): boolean {
  return waitsFor.length > 0;
}

function without(free: FreeRecord, peer: PeerId): FreeRecord {
  return { ...free, waitsFor: free.waitsFor.filter((each) => each !== peer) };
}

/** The oldest that are done are forgotten. */
function bounded(frees: readonly FreeRecord[]): readonly FreeRecord[] {
  let over = frees.filter((each) => !isOpen(each)).length - DONE_FREE_MAX_COUNT;
  return over <= 0 ? frees : frees.filter((each) => isOpen(each) || over-- <= 0);
}
