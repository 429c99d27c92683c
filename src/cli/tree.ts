/** Every command of the program, as one value. */
import type { CommandSpec } from './command.ts';
import type { OptionSpec } from './options.ts';
import { cache, fs, priority } from './tree/caches.ts';
import { job, load } from './tree/jobs.ts';

const FILE_ARGUMENT = { name: '<path>', description: 'such as s3://bucket/key' } as const;

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
