/** The fields of a load request, with one reader for each kind of value. */
import { RingloadError } from '../base/errors.ts';
import { isUuid } from '../base/ids.ts';
import { canonicalLoadPath, quoted } from './canonical-path.ts';
import { compileGlobs, compileNameFilter } from './file-filter.ts';
import {
  JOB_LIMITS,
  JOB_PRIORITIES,
  UNPINNED_INDEX,
  type JobPriority,
  type JobSpec,
} from './spec.ts';
import { pathsFrom } from './spec-paths.ts';
import { SPEC_FIELDS, specFieldOf, type SpecField } from './spec-spellings.ts';
import {
  bytes,
  refused,
  text,
  texts,
  timeMs,
  wholeNumber,
  within,
  type Given,
  type IntegerRule,
} from './spec-values.ts';

export type SpecDialect = 'own' | 'alluxio';

/** The given values by field, with one reader per kind of value. */
export class SpecFields {
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

  /** @throws invalid_argument unless one of path, paths and index is given. */
  roots(): Pick<JobSpec, 'path' | 'paths' | 'index'> {
    const all = (['path', 'paths', 'index'] as const).flatMap((field) => {
      const given = this.#given.get(field);
      return given === undefined ? [] : [{ field, given }];
    });
    const [first, second] = all;
    if (first === undefined) throw new RingloadError('invalid_argument', 'path is missing');
    if (second !== undefined) {
      throw refused(second.given, `is given beside ${first.given.name}: name one of them`);
    }
    if (first.field === 'paths') return pathsFrom(first.given);
    const path = canonicalLoadPath(text(first.given));
    return first.field === 'path' ? { path } : { path, index: UNPINNED_INDEX };
  }

  alias(): string | undefined {
    const given = this.#given.get('alias');
    if (given === undefined) return undefined;
    const alias = text(given);
    if (alias.length < 1 || alias.length > JOB_LIMITS.aliasMaxLength) {
      throw refused(given, `must have 1 to ${JOB_LIMITS.aliasMaxLength} characters`);
    }
    if (isUuid(alias.toLowerCase())) throw refused(given, "must not look like a job's id");
    return alias;
  }

  priority(): JobPriority | undefined {
    const given = this.#given.get('priority');
    if (given === undefined) return undefined;
    const priority = JOB_PRIORITIES.find((known) => known === text(given).toLowerCase());
    if (priority === undefined) throw refused(given, `must be ${JOB_PRIORITIES.join(', ')}`);
    return priority;
  }

  globs(field: 'include' | 'exclude'): readonly string[] | undefined {
    const given = this.#given.get(field);
    if (given === undefined) return undefined;
    const globs = texts(given);
    if (globs.length > JOB_LIMITS.globMaxCount) {
      throw refused(
        given,
        `has ${globs.length} globs: at most ${JOB_LIMITS.globMaxCount} are taken`,
      );
    }
    if (globs.length === 0) return undefined;
    compileGlobs(globs, field);
    return globs;
  }

  sizeBytes(field: 'minSize' | 'maxSize'): number | undefined {
    const given = this.#given.get(field);
    return given === undefined ? undefined : bytes(given);
  }

  timeMs(field: 'modifiedAfter' | 'modifiedBefore'): number | undefined {
    const given = this.#given.get(field);
    return given === undefined ? undefined : timeMs(given);
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
    compileNameFilter(pattern);
    return pattern;
  }

  #add(field: SpecField, given: Given): void {
    const earlier = this.#given.get(field);
    if (earlier !== undefined && earlier.value !== given.value) {
      throw refused(given, `contradicts ${earlier.name}, another spelling of the same field`);
    }
    this.#given.set(field, given);
  }
}

function unknownField(name: string): RingloadError {
  return new RingloadError(
    'invalid_argument',
    `field ${quoted(name)} is unknown: use ${SPEC_FIELDS.join(', ')}`,
  );
}
