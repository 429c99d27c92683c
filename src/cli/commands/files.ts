/** `ls`, `stat`, `cat`, `get`, `explain`: files as the cluster has them. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { toRingloadError } from '../../base/errors.ts';
import type { FileRecord } from '../../cache/file-catalog.ts';
import type { FilePlacement } from '../../http/services.ts';
import type { RingloadClient } from '../client/client.ts';
import { type ByteRange, openContent } from '../client/content.ts';
import { type CommandInput, usageError } from '../input.ts';
import type { CliContext } from '../context.ts';
import { downloadFile, lastComponent, localPathOf, makeParent } from '../download.ts';
import { explainFile } from '../explain.ts';
import {
  fieldLines,
  formatCount,
  formatSize,
  formatTime,
  plural,
  printable,
  tableLines,
} from '../format.ts';

const PAGE_SIZE = 1_000;
const PARALLEL_DOWNLOADS = 4;
const SEGMENTS_SHOWN_MAX = 20;
const FAILURES_KEPT_MAX = 1_000;

export async function runLs(context: CliContext, input: CommandInput): Promise<number> {
  const root = withoutSlash(input.argument(0));
  const { terminal } = context;
  let count = 0;
  const silent = new Set<string>();
  await context.withClient(async (client) => {
    if (context.json) await terminal.write('{"files":[');
    for await (const file of cachedFiles(client, root, silent)) {
      if (terminal.stdoutClosed.aborted) return;
      if (context.json)
        await terminal.write(`${count === 0 ? '\n' : ',\n'}${JSON.stringify(file)}`);
      else await terminal.writeLine(input.flag('l') ? longLine(file) : printable(file.path));
      count++;
    }
    if (context.json) await terminal.write(`${count === 0 ? '' : '\n'}]}\n`);
  });
  if (count === 0) terminal.message(`nothing is cached at ${printable(root)}`);
  if (silent.size > 0)
    terminal.message(`${formatCount(silent.size)} peers could not be asked: files may be missing`);
  return 0;
}

export async function runStat(context: CliContext, input: CommandInput): Promise<number> {
  const file = await context.withClient((client) => client.stat(input.argument(0)));
  if (context.json) {
    await context.terminal.writeJson(file);
    return 0;
  }
  const segmentCount = file.segmented ? Math.ceil(file.sizeBytes / file.segmentSizeBytes) : 1;
  const isCached = file.source === 'catalog';
  const lines = fieldLines([
    ['path', printable(file.path)],
    ['size', `${formatSize(file.sizeBytes)} (${formatCount(file.sizeBytes)} bytes)`],
    ['modified', formatTime(file.mtimeMs)],
    ['version', printable(file.version)],
    ['known from', isCached ? 'the catalogue of the cluster' : 'the under store, just now'],
    ...(isCached
      ? ([
          ['copies', formatCount(file.replicaCount)],
          [
            'segments',
            file.segmented
              ? `${formatCount(segmentCount)} of ${formatSize(file.segmentSizeBytes)}`
              : 'all on the same peers',
          ],
          ['loaded by', file.loadedBy ?? 'a reader'],
        ] satisfies [string, string][])
      : []),
  ]);
  for (const line of lines) await context.terminal.writeLine(line);
  return 0;
}

export async function runCat(context: CliContext, input: CommandInput): Promise<number> {
  const range = rangeOf(input.text('range'));
  const { terminal } = context;
  await context.withClient(async (client) => {
    const content = await openContent(client, input.argument(0), range);
    for await (const chunk of content.body) {
      await terminal.write(chunk);
      if (terminal.stdoutClosed.aborted) return;
    }
  });
  return 0;
}

export async function runGet(context: CliContext, input: CommandInput): Promise<number> {
  const path = input.argument(0);
  const target = input.args[1];
  if (input.flag('recursive')) return getTree(context, withoutSlash(path), target ?? '.');
  const file = await destinationOf(path, target);
  const bytes = await context.withClient((client) => downloadFile(client, { path, file }));
  if (context.json) await context.terminal.writeJson({ path, file, bytes });
  else context.terminal.message(`saved ${printable(file)} (${formatSize(bytes)})`);
  return 0;
}

export async function runExplain(context: CliContext, input: CommandInput): Promise<number> {
  const path = input.argument(0);
  const { terminal } = context;
  const [placement, cluster, jobs, rules] = await context.withClient(async (client) =>
    Promise.all([
      placementOf(client, path),
      client.cluster(),
      client.jobs(),
      client.rules(withoutSlash(path)),
    ]),
  );
  const explanation = explainFile(path, placement, { cluster, jobs, rules });
  const segments = placement?.segments ?? [];
  if (context.json) {
    await terminal.writeJson({ ...explanation, segments });
    return placement ? 0 : 3;
  }
  const addresses = new Map(cluster.members.map((member) => [member.id, member.address]));
  const nameOf = (id: (typeof cluster.members)[number]['id']): string =>
    printable(addresses.get(id) ?? id);
  const lines = [
    ...fieldLines([
      ['path', printable(path)],
      ['cached', EXTENT_WORDS[explanation.cached]],
      [
        'segments',
        `${formatCount(explanation.residentSegmentCount)} of ${formatCount(explanation.segmentCount)} on some peer`,
      ],
      [
        'copies',
        `${formatCount(explanation.residentCopyCount)} of ${formatCount(explanation.wantedCopyCount)} where the ring wants them`,
      ],
    ]),
    ...explanation.reasons.map((reason) => `- ${printable(reason)}`),
    ...segmentTable(
      segments,
      input.flag('all') ? Number.POSITIVE_INFINITY : SEGMENTS_SHOWN_MAX,
      nameOf,
    ),
  ];
  for (const line of lines) await terminal.writeLine(line);
  return placement ? 0 : 3;
}

const EXTENT_WORDS = {
  fully: 'yes, with every copy',
  readable: 'yes, but copies are missing',
  partly: 'in part',
  not: 'no',
  unknown: 'not on any peer that could be asked',
} as const;

/** `0-1023`, `4096-` @throws invalid_argument */
export function rangeOf(text: string | undefined): ByteRange | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,15})-(\d{1,15})?$/.exec(text);
  const firstByte = Number(match?.[1]);
  const lastByte = match?.[2] === undefined ? undefined : Number(match[2]);
  if (!match || (lastByte !== undefined && lastByte < firstByte)) {
    throw usageError(`--range takes first-last or first-, counted from 0, not '${text}'`);
  }
  return lastByte === undefined ? { firstByte } : { firstByte, lastByte };
}

/** @param silent collects the members that could not be asked. */
async function* cachedFiles(
  client: RingloadClient,
  root: string,
  silent: Set<string> = new Set(),
): AsyncIterable<FileRecord> {
  let after: string | undefined;
  do {
    const page = await client.listFiles({
      root,
      limit: PAGE_SIZE,
      ...(after === undefined ? {} : { after }),
    });
    for (const peer of page.unanswered ?? []) silent.add(peer);
    yield* page.files;
    // Why: a cursor that stands still would list the same page for ever.
    if (page.next === after) return;
    after = page.next;
  } while (after !== undefined);
}

function longLine(file: FileRecord): string {
  const copies = file.replicaCount === 1 ? '1 copy' : `${formatCount(file.replicaCount)} copies`;
  return `${formatSize(file.sizeBytes).padStart(9)}  ${formatTime(file.mtimeMs).padEnd(24)}  ${copies.padStart(8)}  ${printable(file.path)}`;
}

async function placementOf(
  client: RingloadClient,
  path: string,
): Promise<FilePlacement | undefined> {
  try {
    return await client.placement(path);
  } catch (thrown) {
    // Why: "no record" is an answer to the question; "no such object" and the rest are not.
    if (toRingloadError(thrown).code === 'not_found') return undefined;
    throw thrown;
  }
}

function segmentTable(
  segments: FilePlacement['segments'],
  maxCount: number,
  nameOf: (id: FilePlacement['segments'][number]['owners'][number]) => string,
): string[] {
  if (segments.length === 0) return [];
  const shown = segments.slice(0, maxCount);
  const rest = segments.length - shown.length;
  return [
    '',
    ...tableLines(
      [
        { title: 'SEGMENT', align: 'right' },
        { title: 'SIZE', align: 'right' },
        { title: 'WANTED ON' },
        { title: 'HELD BY' },
      ],
      shown.map((segment) => [
        formatCount(segment.index),
        formatSize(segment.lengthBytes),
        segment.owners.map(nameOf).join(' ') || '-',
        segment.residentOn.map(nameOf).join(' ') || '-',
      ]),
    ),
    ...(rest > 0 ? [`… and ${plural(rest, 'segment')} more (--all shows them)`] : []),
  ];
}

async function destinationOf(path: string, target: string | undefined): Promise<string> {
  const name = lastComponent(path);
  const isDirectory =
    target !== undefined &&
    (target.endsWith('/') || ((await stat(target).catch(() => undefined))?.isDirectory() ?? false));
  if (target !== undefined && !isDirectory) return target;
  if (name === '' || name === '.' || name === '..') {
    throw usageError(`'${path}' has no name of its own: say which file to write`);
  }
  return isDirectory ? join(target, name) : name;
}

interface TreeResult {
  files: number;
  bytes: number;
  readonly failed: { path: string; message: string }[];
  failedCount: number;
}

/** Everything cached below `root`; a file that fails does not stop the others. */
async function getTree(context: CliContext, root: string, directory: string): Promise<number> {
  const { terminal } = context;
  const result: TreeResult = { files: 0, bytes: 0, failed: [], failedCount: 0 };
  await context.withClient(async (client) => {
    const files = cachedFiles(client, root)[Symbol.asyncIterator]();
    const worker = async (): Promise<void> => {
      for (let next = await files.next(); !next.done; next = await files.next()) {
        await getOne(context, client, { root, directory, path: next.value.path, result });
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_DOWNLOADS }, worker));
  });
  const { failedCount, ...shown } = result;
  if (context.json) await terminal.writeJson({ root, directory, ...shown, failedCount });
  else {
    terminal.message(
      `saved ${plural(result.files, 'file')} (${formatSize(result.bytes)}) in ${printable(directory)}`,
    );
  }
  return failedCount === 0 ? 0 : 1;
}

async function getOne(
  context: CliContext,
  client: RingloadClient,
  job: { root: string; directory: string; path: string; result: TreeResult },
): Promise<void> {
  const { root, directory, path, result } = job;
  try {
    const file = localPathOf(directory, root, path);
    await makeParent(file);
    const bytes = await downloadFile(client, { path, file });
    result.files++;
    result.bytes += bytes;
  } catch (thrown) {
    const error = toRingloadError(thrown);
    if (error.code === 'cancelled') throw error;
    result.failedCount++;
    if (result.failed.length < FAILURES_KEPT_MAX) {
      result.failed.push({ path, message: error.message });
    }
    context.terminal.error(`ringload: ${printable(path)}: ${printable(error.message)}`);
  }
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
