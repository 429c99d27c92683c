/** Every command of the program, as one value. */
import type { CommandSpec } from './command.ts';
import type { OptionSpec } from './options.ts';
import { ALLUXIO_LOAD_OPTIONS, OWN_LOAD_OPTIONS } from './commands/load-request.ts';

const JOB_ARGUMENT = {
  name: '<job>',
  description: 'id of the job, or its path: then the newest job of that path',
  completes: 'job',
} as const;

const WAIT_OPTION: OptionSpec = {
  flags: '--wait',
  description: 'show progress until it has ended',
};

const FILE_ARGUMENT = { name: '<path>', description: 'such as s3://bucket/key' } as const;

const alluxioLoad: CommandSpec = {
  name: 'load',
  summary: 'submit, watch or stop the load of a path, in the grammar of Alluxio',
  examples: [
    { line: 'job load --path s3://bucket/data --submit', does: 'start loading' },
    { line: 'job load s3://bucket/data --progress', does: 'report' },
    { line: 'job load s3://bucket/data --progress --format JSON', does: 'for programs' },
    { line: 'job load s3://bucket/data --stop', does: 'stop; a new submit resumes' },
    { line: 'job load s3://bucket/data --submit --wait', does: 'start, watch, report' },
  ],
  arguments: [{ name: '[paths...]', description: 'what to load, in place of --path' }],
  options: ALLUXIO_LOAD_OPTIONS,
  usageExitCode: 1,
  run: async (context, input) => {
    const { parseAlluxioLoad } = await import('./commands/load-request.ts');
    const request = await parseAlluxioLoad(input);
    const { runAlluxioLoad } = await import('./commands/load-run.ts');
    return runAlluxioLoad(context, request);
  },
};

const load: CommandSpec = {
  name: 'load',
  summary: 'load a path into the caches of the cluster and wait until it is there',
  examples: [
    { line: 'load s3://bucket/data', does: 'load, show progress, report' },
    { line: 'load s3://bucket/data --replicas 2 --verify', does: 'two copies, checked' },
    { line: 'load s3://bucket/data -d', does: 'print the id of the job, do not wait' },
    { line: "load s3://b/a s3://b/c --exclude '*.tmp'", does: 'several paths, not all files' },
    { line: 'load --index-file s3://b/list.txt', does: 'what the list names, a path a line' },
  ],
  arguments: [
    { name: '[paths...]', description: 'files or directories, such as s3://bucket/data' },
  ],
  options: OWN_LOAD_OPTIONS,
  run: async (context, input) => {
    const { parseOwnLoad } = await import('./commands/load-request.ts');
    const request = await parseOwnLoad(input);
    const { runOwnLoad } = await import('./commands/load-run.ts');
    return runOwnLoad(context, request);
  },
};

const PATH_ARGUMENT = { name: '<path>', description: 'file or directory' } as const;

const jobFree: CommandSpec = {
  name: 'free',
  summary: 'let go of all that is cached of a path, on all peers; the under store stays',
  examples: [
    { line: 'job free s3://bucket/data', does: 'and tell what was freed on which peer' },
    { line: 'job free --path s3://bucket/data --submit', does: 'do not wait' },
    { line: 'job free --path s3://bucket/data --progress', does: 'ask how it went' },
  ],
  arguments: [{ name: '[path]', description: 'file or directory, in place of --path' }],
  options: [
    { flags: '--path <path>', description: 'file or directory' },
    { flags: '--submit', description: 'begin and do not wait' },
    { flags: '--progress', description: 'tell how the latest one is doing' },
    { flags: '--stop', description: 'stop one that was begun at the same peer' },
    { flags: '--even-pinned', description: 'also what rules pin' },
  ],
  run: async (context, input) => (await import('./commands/cache.ts')).runJobFree(context, input),
};

const job: CommandSpec = {
  name: 'job',
  summary: 'load jobs: load, list, status, stop, retry, verify, free',
  examples: [
    { line: 'job list', does: 'all jobs, newest first' },
    { line: 'job status s3://bucket/data', does: 'report on the newest load of a path' },
  ],
  subcommands: [
    alluxioLoad,
    {
      name: 'list',
      summary: 'list jobs, newest first',
      examples: [
        { line: 'job list', does: 'all jobs that are remembered' },
        { line: 'job list --job-state RUNNING', does: 'only those' },
        { line: 'job list --json', does: 'with every detail' },
      ],
      options: [
        {
          flags: '--job-state <state>',
          description: 'WAITING, RUNNING, VERIFYING, SUCCEEDED, FAILED, STOPPED or ALL (default)',
          choices: ['WAITING', 'RUNNING', 'VERIFYING', 'SUCCEEDED', 'FAILED', 'STOPPED', 'ALL'],
        },
        { flags: '--path <path>', description: 'only jobs of that path' },
        { flags: '--ids', description: 'print nothing but ids' },
      ],
      run: async (context, input) => (await import('./commands/job.ts')).runJobList(context, input),
    },
    {
      name: 'status',
      summary: 'report on a job: figures, peers, failures',
      examples: [
        { line: 'job status s3://bucket/data', does: 'the newest load of the path' },
        { line: 'job status s3://bucket/data --wait', does: 'watch it to its end' },
      ],
      arguments: [JOB_ARGUMENT],
      options: [WAIT_OPTION],
      run: async (context, input) =>
        (await import('./commands/job.ts')).runJobStatus(context, input),
    },
    {
      name: 'stop',
      summary: 'stop a job; submitting its path again resumes it',
      examples: [{ line: 'job stop s3://bucket/data', does: 'exit 1 if nothing was running' }],
      arguments: [JOB_ARGUMENT],
      run: async (context, input) => (await import('./commands/job.ts')).runJobStop(context, input),
    },
    {
      name: 'retry',
      summary: 'load again what a job could not load',
      examples: [{ line: 'job retry s3://bucket/data --wait', does: 'only the failed files' }],
      arguments: [JOB_ARGUMENT],
      options: [WAIT_OPTION],
      run: async (context, input) =>
        (await import('./commands/job.ts')).runJobRetry(context, input),
    },
    {
      name: 'verify',
      summary: 'check on every disk that what a job loaded is still there; exit 1 if not',
      examples: [
        { line: 'job verify s3://bucket/data', does: 'names each difference' },
        { line: 'job verify s3://bucket/data --repair', does: 'and brings back what is missing' },
      ],
      arguments: [JOB_ARGUMENT],
      options: [
        {
          flags: '--repair',
          description: 'bring back missing and damaged copies, from other peers first',
        },
      ],
      run: async (context, input) =>
        (await import('./commands/job.ts')).runJobVerify(context, input),
    },
    jobFree,
  ],
};

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
    (await import('./commands/cache.ts')).runCacheCheck(context, input),
};

const PRIORITY_OPTION: OptionSpec = {
  flags: '--priority <class>',
  description: 'high, medium or low: what is low is evicted first; none takes it away',
  choices: ['high', 'medium', 'low'],
};

const cache: CommandSpec = {
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
        (await import('./commands/cache.ts')).runCacheFree(context, input),
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
        (await import('./commands/cache.ts')).runCacheCheck(context, input),
    },
    {
      name: 'pin',
      summary: 'never evict what is cached of a path',
      examples: [{ line: 'cache pin s3://bucket/models', does: 'until it is unpinned' }],
      arguments: [PATH_ARGUMENT],
      options: [PRIORITY_OPTION],
      run: async (context, input) =>
        (await import('./commands/cache.ts')).runPin(context, input, true),
    },
    {
      name: 'unpin',
      summary: 'let what is cached of a path be evicted again',
      examples: [{ line: 'cache unpin s3://bucket/models', does: 'take the pin away' }],
      arguments: [PATH_ARGUMENT],
      run: async (context, input) =>
        (await import('./commands/cache.ts')).runPin(context, input, false),
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
      run: async (context, input) => (await import('./commands/cache.ts')).runRule(context, input),
    },
    {
      name: 'rules',
      summary: 'list the rules of all paths',
      examples: [{ line: 'cache rules --json', does: 'for programs' }],
      run: async (context) => (await import('./commands/cache.ts')).runRules(context),
    },
  ],
};

const priority: CommandSpec = {
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
        (await import('./commands/cache.ts')).runPriorityAdd(context, input),
    },
  ],
};

const fs: CommandSpec = {
  name: 'fs',
  summary: 'older spellings of job load and cache check',
  examples: [{ line: 'fs load s3://bucket/data --submit', does: 'as job load' }],
  hidden: true,
  subcommands: [alluxioLoad, checkCached],
};

const PEER_ARGUMENT = {
  name: '<peer>',
  description: 'address or id of a member, or the beginning of its id',
} as const;

const cluster: CommandSpec = {
  name: 'cluster',
  summary: 'members and leadership: status, peers, leader, transfer, remove',
  examples: [
    { line: 'cluster status', does: 'leader, epoch, members' },
    { line: 'cluster transfer 10.0.0.7:19999', does: 'make that peer the leader' },
  ],
  subcommands: [
    {
      name: 'status',
      summary: 'show the cluster as the answering peer sees it',
      examples: [{ line: 'cluster status --peer 10.0.0.7:19999', does: 'ask that peer first' }],
      run: async (context) => (await import('./commands/cluster.ts')).runClusterStatus(context),
    },
    {
      name: 'peers',
      summary: 'list the members',
      examples: [{ line: 'cluster peers --json', does: 'for programs' }],
      run: async (context) => (await import('./commands/cluster.ts')).runClusterPeers(context),
    },
    {
      name: 'leader',
      summary: 'print address and id of the leader; exit 4 when there is none',
      examples: [{ line: 'cluster leader', does: 'address and id' }],
      run: async (context) => (await import('./commands/cluster.ts')).runClusterLeader(context),
    },
    {
      name: 'transfer',
      summary: 'hand leadership to a member',
      examples: [
        { line: 'cluster transfer 10.0.0.7:19999', does: 'before taking the old one down' },
      ],
      arguments: [PEER_ARGUMENT],
      run: async (context, input) =>
        (await import('./commands/cluster.ts')).runClusterTransfer(context, input),
    },
    {
      name: 'remove',
      summary: 'drain a member and take it out of the cluster',
      examples: [
        { line: 'cluster remove 10.0.0.7:19999', does: 'its data moves to the others first' },
        { line: 'cluster remove 0b9c3f1e --force', does: 'for a member that is dead' },
      ],
      arguments: [PEER_ARGUMENT],
      options: [{ flags: '--force', description: 'skip the drain: the member is dead' }],
      run: async (context, input) =>
        (await import('./commands/cluster.ts')).runClusterRemove(context, input),
    },
  ],
};

const files: readonly CommandSpec[] = [
  {
    name: 'ls',
    summary: 'list cached files at and below a path',
    examples: [
      { line: 'ls s3://bucket/data', does: 'paths, in byte order' },
      { line: 'ls -l s3://bucket/data', does: 'with size, time and copies' },
    ],
    arguments: [{ name: '<path>', description: 'file or directory' }],
    options: [{ flags: '-l', description: 'one line with size, time and copies for each file' }],
    run: async (context, input) => (await import('./commands/files.ts')).runLs(context, input),
  },
  {
    name: 'stat',
    summary: 'show what is known about a file',
    examples: [{ line: 'stat s3://bucket/data/part-0', does: 'size, version, segments' }],
    arguments: [FILE_ARGUMENT],
    run: async (context, input) => (await import('./commands/files.ts')).runStat(context, input),
  },
  {
    name: 'cat',
    summary: 'write the bytes of a file to stdout',
    examples: [
      { line: 'cat s3://bucket/notes.txt', does: 'the whole file' },
      { line: 'cat s3://bucket/big --range 0-1023', does: 'its first 1,024 bytes' },
    ],
    arguments: [FILE_ARGUMENT],
    options: [
      {
        flags: '--range <first-last>',
        description: 'only these bytes, counted from 0, the last one included; first- = to the end',
      },
    ],
    bytesOnly: true,
    run: async (context, input) => (await import('./commands/files.ts')).runCat(context, input),
  },
  {
    name: 'get',
    summary: 'copy a file, or everything cached below a path, to local files',
    examples: [
      { line: 'get s3://bucket/data/part-0', does: 'to ./part-0' },
      { line: 'get s3://bucket/data/part-0 /tmp/x', does: 'to that file or directory' },
      { line: 'get -r s3://bucket/data ./data', does: 'everything cached below the path' },
    ],
    arguments: [
      FILE_ARGUMENT,
      { name: '[file]', description: 'where to write (default: its last name)', completes: 'file' },
    ],
    options: [{ flags: '-r, --recursive', description: 'every cached file below the path' }],
    run: async (context, input) => (await import('./commands/files.ts')).runGet(context, input),
  },
  {
    name: 'explain',
    summary: 'tell why a file is, or is not, cached',
    examples: [{ line: 'explain s3://bucket/data/part-0', does: 'owners, holders, reasons' }],
    arguments: [FILE_ARGUMENT],
    options: [{ flags: '--all', description: 'show every segment' }],
    run: async (context, input) => (await import('./commands/files.ts')).runExplain(context, input),
  },
];

const serverOptions = async (): Promise<readonly OptionSpec[]> =>
  (await import('./commands/server-options.ts')).serverOptions();

const serve: CommandSpec = {
  name: 'serve',
  summary: 'run a peer',
  examples: [
    { line: 'serve --config ringload.yaml', does: 'settings from a file' },
    { line: 'config show --origin', does: 'which settings would hold, and why' },
  ],
  options: serverOptions,
  local: true,
  run: async (context, input) => (await import('./commands/serve.ts')).runServe(context, input),
};

const config: CommandSpec = {
  name: 'config',
  summary: 'check and show the configuration of a peer',
  examples: [{ line: 'config check --config ringload.yaml', does: 'exit 78 if it is wrong' }],
  subcommands: [
    {
      name: 'check',
      summary: 'tell whether a peer would start with this configuration',
      examples: [{ line: 'config check --config ringload.yaml', does: 'exit 78 if it is wrong' }],
      options: serverOptions,
      local: true,
      run: async (context, input) =>
        (await import('./commands/config.ts')).runConfigCheck(context, input),
    },
    {
      name: 'show',
      summary: 'show every setting, secrets hidden',
      examples: [
        { line: 'config show', does: 'what holds' },
        { line: 'config show --origin', does: 'and where each value comes from' },
      ],
      options: async () => [
        { flags: '--origin', description: 'show where each value comes from' },
        ...(await serverOptions()),
      ],
      local: true,
      run: async (context, input) =>
        (await import('./commands/config.ts')).runConfigShow(context, input),
    },
  ],
};

const sampleStore: CommandSpec = {
  name: 'sample-store',
  summary: 'run an S3-compatible store with sample data, to try Ringload without a cloud',
  examples: [{ line: 'sample-store --port 9000 --bucket demo', does: 'until ^C' }],
  options: [
    { flags: '--port <port>', description: 'port on 127.0.0.1 (default 9000, 0 = any)' },
    { flags: '--bucket <name>', description: 'name of its bucket (default demo)' },
    { flags: '--throttle <rate>', description: 'bytes per second that it sends, such as 50MB' },
  ],
  local: true,
  run: async (context, input) =>
    (await import('./commands/sample-store.ts')).runSampleStore(context, input),
};

const completion: CommandSpec = {
  name: 'completion',
  summary: 'print a completion script for a shell',
  examples: [
    { line: 'completion bash > /etc/bash_completion.d/ringload', does: 'bash' },
    { line: 'completion zsh > ~/.zfunc/_ringload', does: 'zsh' },
    { line: 'completion fish > ~/.config/fish/completions/ringload.fish', does: 'fish' },
  ],
  arguments: [
    { name: '<shell>', description: 'bash, zsh or fish', completes: ['bash', 'zsh', 'fish'] },
  ],
  local: true,
  bytesOnly: true,
  run: async (context, input) =>
    (await import('./commands/completion.ts')).runCompletion(context, input, ROOT),
};

const version: CommandSpec = {
  name: 'version',
  summary: 'print the version',
  examples: [{ line: 'version --json', does: 'with that of Node' }],
  local: true,
  run: async (context) => (await import('./commands/version.ts')).runVersion(context),
};

export const ROOT: CommandSpec = {
  name: 'ringload',
  summary:
    'Ringload: load data into the disk caches of a peer-to-peer cluster, serve it from there',
  examples: [
    { line: 'serve --config ringload.yaml', does: 'run a peer' },
    { line: 'load s3://bucket/data --replicas 2', does: 'load a path and watch' },
    { line: 'job list', does: 'what was loaded' },
    { line: 'explain s3://bucket/data/part-0', does: 'why is it (not) cached?' },
  ],
  subcommands: [
    ...[load, job, ...files, cache, cluster, serve, config, sampleStore, completion, version],
    ...[fs, priority],
  ],
};
