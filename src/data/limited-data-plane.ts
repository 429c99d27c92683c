/** A data plane whose fills keep to the limits of their jobs and of what comes from under stores. */
import type { Bandwidth } from './bandwidth.ts';
import type { DataPlane, FillCommand, FillResult } from './data-plane.ts';

export class LimitedDataPlane implements DataPlane {
  readonly #plane: DataPlane;
  readonly #bandwidth: Bandwidth;

  constructor(plane: DataPlane, bandwidth: Bandwidth) {
    this.#plane = plane;
    this.#bandwidth = bandwidth;
  }

  async fill(command: FillCommand, signal: AbortSignal): Promise<FillResult> {
    const { bandwidthBps, bandwidthGroup } = command;
    const fill = {
      lengthBytes: command.extent.lengthBytes,
      isFromUfs: command.source.kind === 'ufs',
      isPrefetch: command.isPrefetch === true,
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
