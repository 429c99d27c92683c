/**
 * Programs that people load with today, as contenders: each brings all objects of an origin into
 * files of a new folder, with its own defaults where they are meant for speed. The clock runs
 * until the files are synced: what is still in the page cache is not loaded.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { cleanEnvironment } from '../../tests/support/child.ts';
import { isExecutable } from './executable.ts';
import { type Origin, ORIGIN_BUCKET } from './origin.ts';
import type { Contender, Work } from './pairs.ts';
import { peakBytes } from './usage.ts';

/** Where `bench/install-tools.sh` puts them. */
const TOOLS = join(process.cwd(), '.cache/bench-tools/bin');
const PEAK_INTERVAL_MS = 50;
/** Arguments that a command line surely takes. */
const FILES_PER_SYNC = 1_000;

export interface Tool {
  readonly name: string;
  /** It cannot be told to trust a certificate of ours. */
  readonly isPlainOnly?: boolean;
  /** Prints its version on the first line. */
  readonly version: readonly [program: string, ...args: string[]];
  readonly command: (origin: Origin, target: string) => readonly [string, ...string[]];
}

const TOOLS_BY_PREFERENCE: readonly Tool[] = [
  {
    name: 's5cmd',
    version: ['s5cmd', 'version'],
    command: ({ endpoint, tls }, target) => [
      's5cmd',
      ...(tls ? ['--no-verify-ssl'] : []),
      ...['--log', 'error', '--no-sign-request', '--endpoint-url', endpoint],
      ...['cp', `s3://${ORIGIN_BUCKET}/*`, `${target}/`],
    ],
  },
  {
    name: 'rclone',
    version: ['rclone', 'version'],
    command: ({ endpoint, tls }, target) => [
      'rclone',
      ...(tls ? ['--no-check-certificate'] : []),
      ...['copy', '--config', '/dev/null', '--s3-provider', 'Other', '--s3-endpoint', endpoint],
      // The origin's ETags are no MD5 of the contents; the others do not compare them either.
      ...['--s3-region', 'us-east-1', '--ignore-checksum', '--transfers', '16'],
      ...[`:s3:${ORIGIN_BUCKET}`, target],
    ],
  },
  {
    name: 'aws s3 cp',
    version: ['aws', '--version'],
    command: ({ endpoint, tls }, target) => [
      'aws',
      ...(tls ? ['--no-verify-ssl'] : []),
      ...['s3', 'cp', '--recursive', '--no-sign-request', '--only-show-errors'],
      ...['--endpoint-url', endpoint, `s3://${ORIGIN_BUCKET}/`, target],
    ],
  },
  {
    // Its `warmup` reads only what JuiceFS itself has stored; this is its way to plain objects.
    name: 'juicefs',
    isPlainOnly: true,
    version: ['juicefs', '--version'],
    command: ({ endpoint }, target) => [
      'juicefs',
      ...['sync', '--threads', '16', '--log-level', 'error'],
      ...[
        `minio://any:any@${endpoint.replace(/^https?:\/\//, '')}/${ORIGIN_BUCKET}/`,
        `${target}/`,
      ],
    ],
  },
  {
    name: 'curl',
    version: ['curl', '--version'],
    command: (origin, target) => {
      const [first, last] = [origin.keyOf(0), origin.keyOf(origin.count - 1)];
      const digits = `[${first.replace(/\D/g, '')}-${last.replace(/\D/g, '')}]`;
      const url = `${origin.endpoint}/${ORIGIN_BUCKET}/${first.replace(/\d+$/, digits)}`;
      return [
        'curl',
        ...(origin.tls ? ['--insecure'] : []),
        ...['--silent', '--show-error', '--fail', '--parallel', '--parallel-max', '64'],
        ...['--create-dirs', '--output', `${target}/#1`, url],
      ];
    },
  },
];

/** Installed ones of these, or of all, the yardstick of the targets first. @throws for no tool */
export function installedTools(names?: readonly string[]): readonly Tool[] {
  return toolsNamed(names).filter(({ version: [program] }) => pathOf(program) !== undefined);
}

export function missingTools(names?: readonly string[]): readonly string[] {
  const installed = installedTools(names);
  return toolsNamed(names).flatMap((tool) => (installed.includes(tool) ? [] : [tool.name]));
}

function toolsNamed(names: readonly string[] | undefined): readonly Tool[] {
  const known = TOOLS_BY_PREFERENCE.map(({ name }) => name);
  const foreign = names?.find((name) => !known.includes(name));
  if (foreign !== undefined) throw new Error(`no tool ${foreign}: there are ${known.join(', ')}`);
  return TOOLS_BY_PREFERENCE.filter(({ name }) => names?.includes(name) ?? true);
}

export async function versionOf({ name, version: [program, ...args] }: Tool): Promise<string> {
  const { stdout } = await runProgram(program, args);
  const text = stdout.split('\n')[0]?.trim() ?? '';
  return text.startsWith(name) ? text : `${name} ${text}`;
}

export function toolContender(tool: Tool, origin: Origin, folder: string): Contender {
  const target = join(folder, tool.name.replaceAll(' ', '-'));
  return {
    name: tool.name,
    prepare: async () => {
      await rm(target, { recursive: true, force: true });
      await mkdir(target, { recursive: true });
    },
    run: async () => {
      const [program, ...args] = tool.command(origin, target);
      const { peakBytes: peak } = await runProgram(program, args);
      return { ...(await syncFiles(target)), peakBytes: peak };
    },
    cleanUp: () => rm(target, { recursive: true, force: true }),
  };
}

/** What the disk takes at best: one writer that goes around the page cache. */
export function diskContender(bytes: number, folder: string): Contender {
  const target = join(folder, 'dd');
  return {
    name: 'dd oflag=direct',
    prepare: () => rm(target, { force: true }),
    run: async () => {
      const count = Math.ceil(bytes / 2 ** 20);
      const { peakBytes: peak } = await runProgram('dd', [
        ...['if=/dev/zero', `of=${target}`, 'bs=1M', `count=${count}`],
        ...['oflag=direct', 'conv=fdatasync', 'status=none'],
      ]);
      return { bytes: count * 2 ** 20, objects: 1, peakBytes: peak };
    },
    cleanUp: () => rm(target, { force: true }),
  };
}

/** Syncs every file and says what is there. */
async function syncFiles(folder: string): Promise<Work> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (let at = 0; at < files.length; at += FILES_PER_SYNC) {
    await runProgram('sync', files.slice(at, at + FILES_PER_SYNC));
  }
  let bytes = 0;
  for (const file of files) bytes += (await stat(file)).size;
  return { bytes, objects: files.length };
}

function pathOf(program: string): string | undefined {
  const folders = [TOOLS, ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

/** Runs to the end. @throws when it fails, with what it said. */
async function runProgram(
  program: string,
  args: readonly string[],
): Promise<{ stdout: string; peakBytes: number }> {
  const child = spawn(pathOf(program) ?? program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment({ AWS_REGION: 'us-east-1' }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout = (stdout + chunk.toString()).slice(-8_192)));
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-8_192)));
  let peak = 0;
  const watch = setInterval(() => {
    // It may have ended meanwhile: then the last figure stands.
    peakBytes([child.pid ?? 0]).then(
      (bytes) => (peak = Math.max(peak, bytes)),
      () => undefined,
    );
  }, PEAK_INTERVAL_MS);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${stderr}`);
    return { stdout, peakBytes: peak };
  } finally {
    clearInterval(watch);
  }
}
