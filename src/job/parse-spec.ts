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
import { parseBytes } from '../base/units.ts';
import { canonicalLoadPath, quoted } from './canonical-path.ts';
import { compileFileFilter } from './file-filter.ts';
import { JOB_DEFAULTS, JOB_LIMITS, type JobSpec } from './spec.ts';

export type SpecDialect = 'own' | 'alluxio';

/** What a cluster adds to {@link JOB_DEFAULTS}. */
export interface SpecBounds {
  readonly defaultSegmentSizeBytes: number;
}

/** Every field of a request with its spellings, the preferred one first. */
const SPELLINGS = {
  path: ['path'],
  replicas: ['replicas', 'replicaCount'],
  segmentSize: ['segmentSize', 'segmentSizeBytes', 'segment-size'],
  segmented: ['segmented', 'segmentEnabled', 'segmentationEnabled'],
  skipIfExists: ['skipIfExists', 'skip-if-exists'],
  reload: ['reload'],
  metadataOnly: ['metadataOnly', 'loadMetadataOnly', 'metadata-only'],
  verify: ['verify'],
  partialListing: ['partialListing', 'partial-listing'],
  fileFilterRegex: ['fileFilterRegex', 'fileFilterRegx', 'file-filter-regex', 'file-filter-regx'],
  bandwidth: ['bandwidth'],
  batchSize: ['batchSize', 'batch-size'],
  index: ['index', 'indexFile', 'index-file'],
} as const;

export type SpecField = keyof typeof SPELLINGS;

const FIELD_OF_SPELLING: ReadonlyMap<string, SpecField> = new Map(
  (Object.keys(SPELLINGS) as SpecField[]).flatMap((field) =>
    SPELLINGS[field].map((spelling) => [spelling, field] as const),
  ),
);

/** Every name that {@link parseJobSpec} understands. */
export const SPEC_SPELLINGS: readonly string[] = [...FIELD_OF_SPELLING.keys()];

/** The field that `spelling` names, if any. */
export function specFieldOf(spelling: string): SpecField | undefined {
  return FIELD_OF_SPELLING.get(spelling);
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
  fields.refuse('index', 'is not supported: name a file or a directory as path');
  const fileFilterRegex = fields.fileFilterRegex();
  const bandwidthBps = fields.bandwidthBps();
  return {
    path: fields.path(),
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
    ...(fileFilterRegex === undefined ? {} : { fileFilterRegex }),
    ...(bandwidthBps === undefined ? {} : { bandwidthBps }),
    batchSize: fields.integer('batchSize', {
      fallback: JOB_DEFAULTS.batchSize,
      min: 1,
      max: JOB_LIMITS.batchMaxSize,
    }),
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

interface Given {
  /** As the caller spelled it. */
  readonly name: string;
  readonly value: unknown;
}

interface IntegerRule {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
}

/** The given values by field, with one reader per kind of value. */
class SpecFields {
  readonly #given = new Map<SpecField, Given>();
  readonly #dialect: SpecDialect;

  constructor(input: Readonly<Record<string, unknown>>, dialect: SpecDialect) {
    this.#dialect = dialect;
    for (const name of Object.keys(input)) {
      const field = specFieldOf(name);
      if (field === undefined) {
        if (dialect === 'own') throw unknownField(name);
        continue;
      }
      const value = input[name];
      if (value === undefined || value === null) continue;
      if (value === '' && dialect === 'alluxio' && field !== 'path') continue;
      this.#add(field, { name, value });
    }
  }

  path(): string {
    const given = this.#given.get('path');
    if (given === undefined) throw new RingloadError('invalid_argument', 'path is missing');
    return canonicalLoadPath(text(given));
  }

  boolean(field: SpecField): boolean | undefined {
    const given = this.#given.get(field);
    if (given === undefined) return undefined;
    const { value } = given;
    if (typeof value === 'boolean') return value;
    if (typeof value !== 'string') throw refused(given, 'must be true or false');
    const lower = value.toLowerCase();
    if (lower !== 'true' && lower !== 'false' && this.#dialect === 'own') {
      throw refused(given, 'must be true or false');
    }
    return lower === 'true';
  }

  integer(field: SpecField, rule: IntegerRule): number {
    const given = this.#given.get(field);
    if (given === undefined) return rule.fallback;
    const value = wholeNumber(given.value);
    if (value === undefined) throw refused(given, 'must be a whole number');
    return within(given, value, rule);
  }

  segmentSizeBytes(fallback: number): number {
    const given = this.#given.get('segmentSize');
    if (given === undefined) return fallback;
    return within(given, bytes(given), {
      min: JOB_LIMITS.segmentSizeMinBytes,
      max: JOB_LIMITS.segmentSizeMaxBytes,
    });
  }

  /** Undefined: unlimited. */
  bandwidthBps(): number | undefined {
    const given = this.#given.get('bandwidth');
    if (given === undefined) return undefined;
    const value = bytes(given);
    return value === 0 ? undefined : value;
  }

  fileFilterRegex(): string | undefined {
    const given = this.#given.get('fileFilterRegex');
    if (given === undefined || given.value === '') return undefined;
    const pattern = text(given);
    compileFileFilter(pattern);
    return pattern;
  }

  refuse(field: SpecField, rule: string): void {
    const given = this.#given.get(field);
    if (given !== undefined) throw refused(given, rule);
  }

  #add(field: SpecField, given: Given): void {
    const earlier = this.#given.get(field);
    if (earlier !== undefined && earlier.value !== given.value) {
      throw refused(given, `contradicts ${earlier.name}, another spelling of the same field`);
    }
    this.#given.set(field, given);
  }
}

function text(given: Given): string {
  if (typeof given.value !== 'string') throw refused(given, 'must be text');
  return given.value;
}

function wholeNumber(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

function within(given: Given, value: number, rule: { min: number; max: number }): number {
  if (value < rule.min || value > rule.max) {
    throw refused(given, `must be between ${rule.min} and ${rule.max}`);
  }
  return value;
}

/** A whole number of bytes, or a size as text (`64MiB`). */
function bytes(given: Given): number {
  const value = wholeNumber(given.value);
  if (value !== undefined) {
    if (value < 0) throw refused(given, 'must not be negative');
    return value;
  }
  if (typeof given.value !== 'string') throw refused(given, 'must be a size in bytes');
  try {
    return parseBytes(given.value);
  } catch (cause) {
    throw refused(given, 'must be a size such as 1048576 or 1MiB', cause);
  }
}

function unknownField(name: string): RingloadError {
  const known = Object.keys(SPELLINGS).filter((field) => field !== 'index');
  return new RingloadError(
    'invalid_argument',
    `field ${quoted(name)} is unknown: use ${known.join(', ')}`,
  );
}

function refused(given: Given, rule: string, cause?: unknown): RingloadError {
  const shown =
    typeof given.value === 'string' ? quoted(given.value) : quoted(JSON.stringify(given.value));
  return new RingloadError('invalid_argument', `${given.name} ${shown} ${rule}`, { cause });
}
