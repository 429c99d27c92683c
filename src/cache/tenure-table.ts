/**
 * Who loaded a segment, which jobs hold it leased and which group of paths it belongs to, interned:
 * segments that agree in all share one number, so any count of leases per segment costs four bytes in the index, and ending a
 * job's leases touches a few tenures instead of every segment.
 *
 * Invariant: a tenure exists exactly while segments have it; tenure 0, of nobody, always exists.
 */
import type { JobId } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';

export const NO_TENURE = 0;

interface Tenure {
  readonly loadedBy: JobId | undefined;
  readonly group: string;
  leases: ReadonlySet<JobId>;
  segmentCount: number;
  spaceBytes: number;
}

export class TenureTable {
  readonly #tenures: (Tenure | undefined)[] = [newTenure(undefined, new Set(), '')];
  readonly #byName = new Map<string, number>([[nameOf(undefined, new Set(), ''), NO_TENURE]]);
  readonly #freeNumbers: number[] = [];
  /** The last step of {@link withLease}: leasing a whole job repeats it. */
  #lastStep: { readonly from: number; readonly job: JobId; readonly to: number } | undefined;
  #leasedBytes = 0;

  get leasedBytes(): number {
    return this.#leasedBytes;
  }

  /** Makes room for a segment of the tenure of that content; give it to {@link enter}. */
  of(loadedBy: JobId | undefined, leases: ReadonlySet<JobId>, group = ''): number {
    const name = nameOf(loadedBy, leases, group);
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const number = this.#freeNumbers.pop() ?? this.#tenures.length;
    this.#tenures[number] = newTenure(loadedBy, new Set(leases), group);
    this.#byName.set(name, number);
    return number;
  }

  /** The tenure of a segment of tenure `number` after `job` leased it. */
  withLease(number: number, job: JobId): number {
    const last = this.#lastStep;
    if (last?.from === number && last.job === job) return last.to;
    const tenure = this.#get(number);
    if (tenure.leases.has(job)) return number;
    const to = this.of(tenure.loadedBy, new Set([...tenure.leases, job]), tenure.group);
    this.#lastStep = { from: number, job, to };
    return to;
  }

  /** Counts a segment in. */
  enter(number: number, spaceBytes: number): void {
    const tenure = this.#get(number);
    tenure.segmentCount++;
    tenure.spaceBytes += spaceBytes;
    if (tenure.leases.size > 0) this.#leasedBytes += spaceBytes;
  }

  /** Counts a segment out; the tenure of the last one ends. */
  leave(number: number, spaceBytes: number): void {
    const tenure = this.#get(number);
    invariant(tenure.segmentCount > 0, `tenure ${number} has a segment that leaves`);
    tenure.segmentCount--;
    tenure.spaceBytes -= spaceBytes;
    if (tenure.leases.size > 0) this.#leasedBytes -= spaceBytes;
    if (tenure.segmentCount === 0 && number !== NO_TENURE) this.#remove(number, tenure);
  }

  /** Ends all leases of the job. True when there were any. */
  release(job: JobId): boolean {
    let found = false;
    this.#tenures.forEach((tenure, number) => {
      if (!tenure?.leases.has(job)) return;
      found = true;
      this.#forgetName(number, tenure);
      const leases = new Set(tenure.leases);
      leases.delete(job);
      tenure.leases = leases;
      if (leases.size === 0) this.#leasedBytes -= tenure.spaceBytes;
      // Why: an equal tenure may exist by now; then both live on, and the older one has the name.
      const name = nameOf(tenure.loadedBy, leases, tenure.group);
      if (!this.#byName.has(name)) this.#byName.set(name, number);
    });
    this.#lastStep = undefined;
    return found;
  }

  isLeased(number: number): boolean {
    return this.#get(number).leases.size > 0;
  }
  isLeasedBy(number: number, job: JobId): boolean {
    return this.#get(number).leases.has(job);
  }
  leasesOf(number: number): ReadonlySet<JobId> {
    return this.#get(number).leases;
  }
  loadedByOf(number: number): JobId | undefined {
    return this.#get(number).loadedBy;
  }

  groupOf(number: number): string {
    return this.#get(number).group;
  }

  /** The tenure of a segment of tenure `number` in another group. */
  inGroup(number: number, group: string): number {
    const tenure = this.#get(number);
    return tenure.group === group ? number : this.of(tenure.loadedBy, tenure.leases, group);
  }

  /** Bytes by group, padding included. */
  spaceByGroup(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const tenure of this.#tenures) {
      if (!tenure || tenure.segmentCount === 0) continue;
      sums.set(tenure.group, (sums.get(tenure.group) ?? 0) + tenure.spaceBytes);
    }
    return sums;
  }

  /** Every job that holds a lease. */
  holders(): ReadonlySet<JobId> {
    const jobs = new Set<JobId>();
    for (const tenure of this.#tenures) for (const job of tenure?.leases ?? []) jobs.add(job);
    return jobs;
  }

  #get(number: number): Tenure {
    const tenure = this.#tenures[number];
    if (!tenure) invariant(false, `tenure ${number} exists`);
    return tenure;
  }

  #remove(number: number, tenure: Tenure): void {
    this.#forgetName(number, tenure);
    this.#tenures[number] = undefined;
    this.#freeNumbers.push(number);
    this.#lastStep = undefined;
  }

  #forgetName(number: number, tenure: Tenure): void {
    const name = nameOf(tenure.loadedBy, tenure.leases, tenure.group);
    if (this.#byName.get(name) === number) this.#byName.delete(name);
  }
}

function newTenure(loadedBy: JobId | undefined, leases: ReadonlySet<JobId>, group: string): Tenure {
  return { loadedBy, group, leases, segmentCount: 0, spaceBytes: 0 };
}

function nameOf(loadedBy: JobId | undefined, leases: ReadonlySet<JobId>, group: string): string {
  return JSON.stringify([group, loadedBy ?? null, ...[...leases].sort()]);
}
