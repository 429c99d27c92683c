/**
 * A data plane whose fills keep to the limits of their jobs and of what comes from under stores, and
 * whose prefetches become fewer when an under store asks to slow down.
 */
import type { Bandwidth } from './bandwidth.ts';
import type { SlowDown } from './slow-down.ts';
import type { DataPlane, FillCommand, FillResult } from './data-plane.ts';

export class LimitedDataPlane implements DataPlane {
  readonly #plane: DataPlane;
  readonly #bandwidth: Bandwidth;
  readonly #slowDown: SlowDown;

  constructor(plane: DataPlane, bandwidth: Bandwidth, slowDown: SlowDown) {
    this.#plane = plane;
    this.#bandwidth = bandwidth;
    this.#slowDown = slowDown;
  }

  fill(command: FillCommand, signal: AbortSignal): Promise<FillResult> {
    const fill = (): Promise<FillResult> => this.#fillInLimits(command, signal);
    const waitsForOthers = command.urgency?.isUrgent === false && command.source.kind === 'ufs';
    return waitsForOthers ? this.#slowDown.run(fill, signal, command.urgency) : fill();
  }

  async #fillInLimits(command: FillCommand, signal: AbortSignal): Promise<FillResult> {
    const { bandwidthBps, bandwidthGroup } = command;
    const isFromUfs = command.source.kind === 'ufs';
    const isLimited = bandwidthBps !== undefined || (isFromUfs && this.#bandwidth.limitsUfs);
    if (!isLimited) return this.#plane.fill(command, signal);
    const fill = {
      lengthBytes: command.extent.lengthBytes,
      isFromUfs,
      isPrefetch: command.urgency?.isUrgent === false,
      ...(bandwidthGroup !== undefined && { group: bandwidthGroup }),
      ...(bandwidthBps !== undefined && { rateBps: bandwidthBps }),
    };
    const passage = await this.#bandwidth.admit(fill, signal);
    if (!passage) return this.#plane.fill(command, signal);
    try {
      return await this.#plane.fill({ ...command, passage }, signal);
    } finally {
      passage.done();
    }
  }

  close(): Promise<void> {
    return this.#plane.close();
  }
}
