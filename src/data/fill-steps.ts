/** Steps of a fill that more than one data plane comes by. */
import { failpoint } from '../base/failpoint.ts';

/** A part of the body has come, another is still missing. */
export function partReceived(): void {
  failpoint('fill.body.middle');
}
