/** One segment under verification: its owners, what each of them said, and what comes of it. */
import type { PeerId } from '../base/ids.ts';
import type { FileRecord } from '../cache/file-catalog.ts';
import type { SegmentCheck, SegmentKey } from '../cache/segment-store.ts';
import type { Findings } from './findings.ts';
import type { Difference } from './report.ts';

/** Files that are judged together. */
export interface FileScope {
  readonly findings: Findings;
  fileCount: number;
}

export type SpotCheck = SegmentCheck | { readonly state: 'unreachable' };

export interface Repair {
  readonly repaired: NonNullable<Difference['repaired']>;
  readonly message?: string;
}

export class Spot {
  readonly record: FileRecord;
  readonly index: number;
  readonly owners: readonly PeerId[];
  readonly checks = new Map<PeerId, SpotCheck>();
  readonly repairs = new Map<PeerId, Repair>();
  readonly #scope: FileScope;

  constructor(record: FileRecord, index: number, owners: readonly PeerId[], scope: FileScope) {
    this.record = record;
    this.index = index;
    this.owners = owners;
    this.#scope = scope;
  }

  get key(): SegmentKey {
    const { path, version, segmentSizeBytes } = this.record;
    return { path, version, segmentSizeBytes, index: this.index };
  }

  get lengthBytes(): number {
    const { sizeBytes, segmentSizeBytes } = this.record;
    return Math.min(segmentSizeBytes, sizeBytes - this.index * segmentSizeBytes);
  }

  get soundCount(): number {
    return this.owners.filter((owner) => this.checks.get(owner)?.state === 'sound').length;
  }

  /** CRC32C that the sound copies should have: that of the first of them, in ring order. */
  get expectedCrc32c(): number | undefined {
    for (const owner of this.owners) {
      const check = this.checks.get(owner);
      if (check?.state === 'sound' && check.lengthBytes === this.lengthBytes) return check.crc32c;
    }
    return undefined;
  }

  /** Owners with a copy as it should be, the restored ones included. */
  soundOwners(): PeerId[] {
    return this.owners.filter((owner) => this.#isAsExpected(owner) || this.isRestored(owner));
  }

  isRestored(owner: PeerId): boolean {
    const repaired = this.repairs.get(owner)?.repaired;
    return repaired === 'from-peer' || repaired === 'from-ufs';
  }

  /** Whether the owner's copy is gone: only then can it be restored without a doubt. */
  isLacking(owner: PeerId): boolean {
    const state = this.checks.get(owner)?.state;
    return state === 'missing' || state === 'damaged';
  }

  /** Enters every copy into the findings. */
  settle(): void {
    for (const owner of this.owners) this.#settleCopy(owner);
  }

  #settleCopy(owner: PeerId): void {
    const { findings } = this.#scope;
    const check = this.checks.get(owner) ?? { state: 'unreachable' };
    if (check.state === 'sound' && this.#isAsExpected(owner)) {
      findings.addSegment(this.key, check.lengthBytes, check.crc32c);
      return;
    }
    const repair = this.repairs.get(owner);
    findings.differ({
      path: this.record.path,
      segment: this.index,
      peerId: owner,
      kind: check.state === 'sound' ? 'other-version' : check.state,
      ...(check.state === 'sound' && { message: 'sound, but not the bytes that others hold' }),
      ...repair,
    });
  }

  #isAsExpected(owner: PeerId): boolean {
    const check = this.checks.get(owner);
    if (check?.state !== 'sound' || check.lengthBytes !== this.lengthBytes) return false;
    return check.crc32c === this.expectedCrc32c;
  }

  /** A copy that was brought back and read again: it counts from now on. */
  addRestored(lengthBytes: number, crc32c: number): void {
    this.#scope.findings.addSegment(this.key, lengthBytes, crc32c);
  }
}
