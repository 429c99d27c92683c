/** What is known of an object for as long as its mark stands: enough to answer any request for it. */
import type { Mark } from '../base/change-marks.ts';
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { FoundFile } from '../read/file-reader.ts';

export interface StandingObject {
  readonly found: FoundFile & { readonly mark: Mark };
  readonly attributes: ObjectAttributes;
}
