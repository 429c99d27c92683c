/** What the caches keep, and the older spellings that Alluxio has for it. */
import type { CommandSpec } from '../command.ts';
import type { OptionSpec } from '../options.ts';
import { alluxioLoad } from './jobs.ts';

const PATH_ARGUMENT = { name: '<path>', description: 'file or directory' } as const;

const CHECK_OPTIONS: readonly OptionSpec[] = [
  { flags: '--files', description: 'one line for each file: share of it that 1/2/… peers hold' },
  { flags: '--cached-only', description: 'files of the catalogues; do not ask the under store' },
];

const checkCached: CommandSpec = {
  name: 'check-cached',
  summary: 'tell how much of a path is cached',
  examples: [{ line: 'fs check-cached s3://bucket/data', does: 'exit 1 unless all of it' }],
  arguments: [PATH_ARGUMENT],
  options: CHECK_OPTIONS,
  run: async (context, input) =>
    (await import('../commands/cache.ts')).runCacheCheck(context, input),
};

const PRIORITY_OPTION: OptionSpec = {
  flags: '--priority <class>',
  description: 'high, medium or low: what is low is evicted first; none takes it away',
  choices: ['high', 'medium', 'low'],
};

export const cache: CommandSpec = {
  name: 'cache',
  summary: 'what the caches keep: free, check, pin, unpin, rule, rules',
  examples: [
    { line: 'cache check s3://bucket/data', does: 'how much of it is cached' },
    { line: 'cache free s3://bucket/data', does: 'let go of it on all peers' },
    { line: 'cache pin s3://bucket/models', does: 'never evict it' },
  ],
  subcommands: [
    {
      name: 'free',
      summary: 'let go of all that is cached of a path, on all peers; the under store stays',
      examples: [{ line: 'cache free s3://bucket/data', does: 'exit 1 if something was kept' }],
      arguments: [PATH_ARGUMENT],
      options: [{ flags: '--even-pinned', description: 'also what rules pin' }],
      run: async (context, input) =>
        (await import('../commands/cache.ts')).runCacheFree(context, input),
    },
    {
      name: 'check',
      summary: 'tell how much of a path is cached, in how many copies, and where',
      examples: [
        { line: 'cache check s3://bucket/data', does: 'exit 1 unless all of it' },
        { line: 'cache check s3://bucket/data --files', does: 'file by file' },
      ],
      arguments: [PATH_ARGUMENT],
      options: CHECK_OPTIONS,
      run: async (context, input) =>
        (await import('../commands/cache.ts')).runCacheCheck(context, input),
    },
    {
      name: 'pin',
      summary: 'never evict what is cached of a path',
      examples: [{ line: 'cache pin s3://bucket/models', does: 'until it is unpinned' }],
      arguments: [PATH_ARGUMENT],
      options: [PRIORITY_OPTION],
      run: async (context, input) =>
        (await import('../commands/cache.ts')).runPin(context, input, true),
    },
    {
      name: 'unpin',
      summary: 'let what is cached of a path be evicted again',
      examples: [{ line: 'cache unpin s3://bucket/models', does: 'take the pin away' }],
      arguments: [PATH_ARGUMENT],
      run: async (context, input) =>
        (await import('../commands/cache.ts')).runPin(context, input, false),
    },
    {
      name: 'rule',
      summary: 'show or change the rule of a path: priority, time, quota, freshness',
      examples: [
        { line: 'cache rule s3://bucket/data', does: 'rules that say something about it' },
        { line: 'cache rule s3://bucket/tmp --ttl 1d --quota 100GiB', does: 'change it' },
        { line: 'cache rule s3://bucket/live --freshness always', does: 'ask on each read' },
        { line: 'cache rule s3://bucket/tmp --remove', does: 'take all of it away' },
      ],
      arguments: [PATH_ARGUMENT],
      options: [
        PRIORITY_OPTION,
        { flags: '--ttl <duration>', description: 'evict after that time, such as 7d; or none' },
        {
          flags: '--quota <size>',
          description: 'bytes that all peers may hold of it, copies counted; or none',
        },
        {
          flags: '--freshness <rule>',
          description: 'immutable, always, skip, or a duration such as 30s; or none',
          choices: ['immutable', 'always', 'skip'],
        },
        { flags: '--remove', description: 'take the rule away, a pin included' },
      ],
      run: async (context, input) => (await import('../commands/cache.ts')).runRule(context, input),
    },
    {
      name: 'rules',
      summary: 'list the rules of all paths',
      examples: [{ line: 'cache rules --json', does: 'for programs' }],
      run: async (context) => (await import('../commands/cache.ts')).runRules(context),
    },
  ],
};

export const priority: CommandSpec = {
  name: 'priority',
  summary: 'older spelling of cache rule --priority',
  examples: [{ line: 'priority add --path s3://bucket/data --priority high', does: 'as there' }],
  hidden: true,
  subcommands: [
    {
      name: 'add',
      summary: 'set the priority of a path',
      examples: [
        { line: 'priority add --path s3://bucket/data --priority high', does: 'evict it last' },
      ],
      options: [{ flags: '--path <path>', description: 'file or directory' }, PRIORITY_OPTION],
      run: async (context, input) =>
        (await import('../commands/cache.ts')).runPriorityAdd(context, input),
    },
  ],
};

export const fs: CommandSpec = {
  name: 'fs',
  summary: 'older spellings of job load and cache check',
  examples: [{ line: 'fs load s3://bucket/data --submit', does: 'as job load' }],
  hidden: true,
  subcommands: [alluxioLoad, checkCached],
};
