/** What is known of an object for as long as its mark stands: enough to answer any request for it. */
import type { ObjectAttributes } from '../base/object-attributes.ts';
import type { MarkedFile } from '../read/file-reader.ts';

export interface StandingObject {
  readonly found: MarkedFile & Required<Pick<MarkedFile, 'mark'>>;
  readonly attributes: ObjectAttributes;
}
