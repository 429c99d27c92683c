/** How the fields of a load request may be spelled. */
/** Every field of a request with its spellings, the preferred one first. */
const SPELLINGS = {
  path: ['path'],
  paths: ['paths'],
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
  alias: ['alias'],
  include: ['include'],
  exclude: ['exclude'],
  minSize: ['minSize', 'minSizeBytes', 'min-size'],
  maxSize: ['maxSize', 'maxSizeBytes', 'max-size'],
  modifiedAfter: ['modifiedAfter', 'modifiedAfterMs', 'modified-after'],
  modifiedBefore: ['modifiedBefore', 'modifiedBeforeMs', 'modified-before'],
  priority: ['priority'],
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

/** Preferred spellings, for messages. */
export const SPEC_FIELDS = Object.keys(SPELLINGS) as readonly SpecField[];
