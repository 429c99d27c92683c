/**
 * From what a request says to a {@link JobSpec}: spellings, quoted or typed values, defaults,
 * bounds. Pure; transport and JSON syntax are the caller's. Every refusal is an invalid_argument
 * that names the field as the caller spelled it, its value and the rule.
 *
 * Dialects differ in what silence means. Ringload's own API is strict (unknown fields, booleans)
 * and skips what is resident unless told not to; Alluxio's ignores what it does not know, reads
 * every boolean other than `true` as false, and `skipIfExists=false` there asks for nothing.
 */
import { RingloadError } from '../base/errors.ts';
import { JOB_DEFAULTS, JOB_LIMITS, type JobSpec } from './spec.ts';
import { SpecFields, type SpecDialect } from './spec-fields.ts';

/** What a cluster adds to {@link JOB_DEFAULTS}. */
export interface SpecBounds {
  readonly defaultSegmentSizeBytes: number;
}

/**
 * @param input one value per spelling; `undefined`, `null` and, in Alluxio's dialects, empty text
 *   count as omitted.
 * @throws invalid_argument
 */
export function parseJobSpec(
  input: Readonly<Record<string, unknown>>,
  bounds: SpecBounds,
  dialect: SpecDialect = 'own',
): JobSpec {
  const fields = new SpecFields(input, dialect);
  const fileFilterRegex = fields.fileFilterRegex();
  const bandwidthBps = fields.bandwidthBps();
  return {
    ...fields.roots(),
    ...given('alias', fields.alias()),
    replicaCount: fields.integer('replicas', {
      fallback: JOB_DEFAULTS.replicaCount,
      min: 1,
      max: JOB_LIMITS.replicaMaxCount,
    }),
    segmentSizeBytes: fields.segmentSizeBytes(bounds.defaultSegmentSizeBytes),
    segmented: fields.boolean('segmented') ?? JOB_DEFAULTS.segmented,
    ...skipOptions(fields, dialect),
    metadataOnly: fields.boolean('metadataOnly') ?? JOB_DEFAULTS.metadataOnly,
    verify: fields.boolean('verify') ?? JOB_DEFAULTS.verify,
    partialListing: fields.boolean('partialListing') ?? JOB_DEFAULTS.partialListing,
    ...given('fileFilterRegex', fileFilterRegex),
    ...pathFilters(fields),
    ...given('priority', fields.priority()),
    ...given('bandwidthBps', bandwidthBps),
    batchSize: fields.integer('batchSize', {
      fallback: JOB_DEFAULTS.batchSize,
      min: 1,
      max: JOB_LIMITS.batchMaxSize,
    }),
  };
}

function given<Name extends string, T>(
  name: Name,
  value: T | undefined,
): { readonly [K in Name]?: T } {
  const none: { readonly [K in Name]?: T } = {};
  return value === undefined ? none : { ...none, [name]: value };
}

function pathFilters(fields: SpecFields): Partial<JobSpec> {
  const minSizeBytes = fields.sizeBytes('minSize');
  const maxSizeBytes = fields.sizeBytes('maxSize');
  const modifiedAfterMs = fields.timeMs('modifiedAfter');
  const modifiedBeforeMs = fields.timeMs('modifiedBefore');
  if ((minSizeBytes ?? 0) > (maxSizeBytes ?? Infinity)) {
    const rule = `minSize ${minSizeBytes} is more than maxSize ${maxSizeBytes}: no file would be loaded`;
    throw new RingloadError('invalid_argument', rule);
  }
  if ((modifiedAfterMs ?? -Infinity) >= (modifiedBeforeMs ?? Infinity)) {
    const rule = `modifiedAfter ${modifiedAfterMs} is not before modifiedBefore ${modifiedBeforeMs}: no file would be loaded`;
    throw new RingloadError('invalid_argument', rule);
  }
  return {
    ...given('include', fields.globs('include')),
    ...given('exclude', fields.globs('exclude')),
    ...given('minSizeBytes', minSizeBytes),
    ...given('maxSizeBytes', maxSizeBytes),
    ...given('modifiedAfterMs', modifiedAfterMs),
    ...given('modifiedBeforeMs', modifiedBeforeMs),
  };
}

function skipOptions(
  fields: SpecFields,
  dialect: SpecDialect,
): Pick<JobSpec, 'skipIfExists' | 'reload'> {
  const skip = fields.boolean('skipIfExists');
  const reload = fields.boolean('reload');
  if (skip === true && reload === true) {
    throw new RingloadError(
      'invalid_argument',
      'skipIfExists and reload are both true: they exclude each other',
    );
  }
  if (dialect === 'alluxio') {
    return {
      skipIfExists: skip ?? JOB_DEFAULTS.skipIfExists,
      reload: reload ?? JOB_DEFAULTS.reload,
    };
  }
  const skipIfExists = skip ?? reload !== true;
  return { skipIfExists, reload: reload ?? !skipIfExists };
}
