/**
 * The reference pages for the configuration and for error codes, made from the schema and from the
 * table of codes. Pure: text out, nothing written; a test keeps the pages in `docs` fresh.
 */
import { ERROR_TABLE } from '../base/errors.ts';
import { OTHER_ENV_NAMES } from './env-source.ts';
import { CONFIG_OPTIONS, type ConfigOption, OPTION_BY_KEY, showValue } from './options.ts';
import { DEFAULT_PRESET, PRESET_NAMES, PRESETS } from './presets.ts';
import { SECTION_TITLES } from './schema.ts';

const NOTICE =
  '<!-- Generated from the source; `node build/tests/docs/write.js` writes it anew. -->';

export function configurationPage(): string {
  const sections = Object.entries(SECTION_TITLES).map(
    ([section, title]) =>
      `## ${section}\n\n${title}\n\n${CONFIG_OPTIONS.filter((option) => option.section === section)
        .map(optionEntry)
        .join('\n')}`,
  );
  return `# Configuration\n\n${NOTICE}\n\n${INTRODUCTION}\n\n${presetTable()}\n\n${OTHER_VARIABLES}\n\n${sections.join('\n\n')}\n`;
}

const INTRODUCTION = `Every option can be given as a flag of \`ringload serve\`, as an environment variable, or in a YAML file. Flags win over the environment, the environment over the file, the file over the preset, the preset over the default. A list is replaced as a whole, never joined.

The file is the one named by \`--config\` or \`RINGLOAD_CONFIG\`, else the first that exists of \`$XDG_CONFIG_HOME/ringload/ringload.yaml\` (\`~/.config\` when that is not set) and \`/etc/ringload/ringload.yaml\`. It holds sections with keys:

\`\`\`yaml
preset: lan
peer:
  host: 10.0.0.5
  join: [10.0.0.4:19999]
cluster:
  secretFile: /etc/ringload/secret
cache:
  directories:
    - { path: /mnt/disk1/ringload, capacityBytes: 800GiB }
ufs:
  mounts:
    - path: s3://datasets/public
    - { path: s3://models, endpoint: 'http://minio:9000', forcePathStyle: true }
\`\`\`

The same mounts as flags: \`--mount s3://datasets/public --mount s3://models,endpoint=http://minio:9000,forcePathStyle=true\`. Credentials are named, never written down: \`credentials=anonymous\`, \`credentials=env:ID_NAME:SECRET_NAME[:TOKEN_NAME]\`, \`credentials=file:ID_PATH:SECRET_PATH[:TOKEN_PATH]\`; in the file \`credentials: { kind: env, accessKeyIdName: …, secretAccessKeyName: … }\` or \`{ kind: file, accessKeyIdPath: …, secretAccessKeyPath: … }\`. In the environment, items of a list are separated by blanks.

Sizes are bytes, or carry a unit of 1024: \`64KiB\`, \`8MiB\`, \`1.5GiB\`. Durations are milliseconds, or carry a unit: \`250ms\`, \`30s\`, \`5m\`, \`2h\`, \`7d\`. An empty variable counts as not set. A name that is not listed here, a value out of its range, and options that contradict each other keep the peer from starting (exit code 78), with the option and the line named.`;

function presetTable(): string {
  const keys = [...new Set(PRESET_NAMES.flatMap((name) => Object.keys(PRESETS[name])))];
  const rows = keys.map((key) => {
    const option = OPTION_BY_KEY.get(key);
    const cells = PRESET_NAMES.map((name) => {
      const value = PRESETS[name][key];
      return value === undefined || !option ? option?.shownDefault : showValue(option, value);
    });
    return `| \`${key}\` | ${cells.join(' | ')} |`;
  });
  return [
    `## Presets`,
    ``,
    `\`--preset\`, \`RINGLOAD_PRESET\` or \`preset\` in the file; \`${DEFAULT_PRESET}\` when none is named. \`local\` is several peers on one machine, \`lan\` one data centre, \`wan\` peers in different places.`,
    ``,
    `| option | ${PRESET_NAMES.join(' | ')} |`,
    `|---${'|---'.repeat(PRESET_NAMES.length)}|`,
    ...rows,
  ].join('\n');
}

const OTHER_VARIABLES = [
  '## Other variables',
  '',
  '| variable | meaning |',
  '|---|---|',
  ...Object.entries(OTHER_ENV_NAMES).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`),
  '',
  'Credentials, regions and endpoints of S3 may also come from the standard `AWS_…` variables.',
].join('\n');

function optionEntry(option: ConfigOption): string {
  const names = [option.flagName && `\`${flagUsage(option)}\``, `\`${option.envName}\``];
  const facts = [
    `default ${option.defaultText ?? `\`${option.shownDefault}\``}`,
    option.range === '' ? undefined : option.range,
    option.repeatable ? 'repeatable' : undefined,
    option.secret ? 'secret, from the environment only' : undefined,
  ];
  const given = (texts: readonly (string | undefined)[], separator: string): string =>
    texts.filter((text) => text !== undefined && text !== '').join(separator);
  return `- **\`${option.key}\`** ${option.description}\n  ${given(names, ', ')}; ${given(facts, '; ')}.`;
}

function flagUsage({ flagName, placeholder }: ConfigOption): string {
  return placeholder === '' ? (flagName ?? '') : `${flagName ?? ''} <${placeholder}>`;
}

export function errorsPage(): string {
  const rows = Object.entries(ERROR_TABLE).map(
    ([code, { httpStatus, exitCode, retryable, meaning }]) =>
      `| \`${code}\` | ${httpStatus} | ${exitCode} | ${retryable ? 'yes' : 'no'} | ${meaning} |`,
  );
  return [
    '# Errors',
    '',
    NOTICE,
    '',
    'Every failure has one of these codes: in `code` of a problem document, in `code` of `--json` output, in the log. The list is closed; codes keep their meaning.',
    '',
    'Retryable means that the same call may succeed later without anything being changed.',
    '',
    '| code | HTTP status | exit code | retryable | meaning |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
