/** Which loads are the same one, by what they load, and how a request names one. */
import type { JobId } from '../base/ids.ts';
import type { RecordedSpec } from './job-record.ts';

type Loaded = Pick<RecordedSpec, 'path' | 'paths' | 'index'>;

/** What a caller knows of a job. */
export type JobRef =
  | { readonly id: JobId }
  /** The newest job of that path, of these paths, or of that index file. */
  | { readonly path: string }
  | { readonly paths: readonly string[] }
  | { readonly index: string }
  /** The newest job of that other name. */
  | { readonly alias: string };

/** Equal for loads of the same path, of the same paths, or of the same index file. */
export function identityOf({ path, paths, index }: Loaded): string {
  if (index !== undefined) return `index ${path}`;
  return paths === undefined ? `path ${path}` : `paths ${JSON.stringify(paths)}`;
}

/** Whether the reference, if it is not an id, names that job. */
export function isMeant(ref: Exclude<JobRef, { readonly id: JobId }>, spec: RecordedSpec): boolean {
  if ('alias' in ref) return spec.alias === ref.alias;
  const { path, paths } = spec;
  if ('index' in ref) return spec.index !== undefined && path === ref.index;
  if (spec.index !== undefined) return false;
  if ('path' in ref) return paths === undefined && path === ref.path;
  return identityOf({ path, paths: ref.paths }) === identityOf(spec);
}

/** For messages. */
export function refText(ref: JobRef): string {
  if ('id' in ref) return `id '${ref.id}'`;
  if ('alias' in ref) return `alias '${ref.alias}'`;
  if ('index' in ref) return `index '${ref.index}'`;
  return 'path' in ref ? `path '${ref.path}'` : `paths '${ref.paths.join("', '")}'`;
}
