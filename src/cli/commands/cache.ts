/** `cache free|check|pin|unpin|rule|rules`, and Alluxio's spellings of them. */
import { toRingloadError } from '../../base/errors.ts';
import type { PeerId } from '../../base/ids.ts';
import type { Amount, CheckedFile, CheckReport, FreeReport } from '../../residence/report.ts';
import type { RuleAnswer, RuleRequest } from '../client/cache-answers.ts';
import type { RingloadClient } from '../client/client.ts';
import { type CommandInput, usageError } from '../input.ts';
import type { CliContext } from '../context.ts';
import {
  fieldLines,
  formatCount,
  formatDuration,
  formatPercent,
  formatSize,
  plural,
  printable,
  tableLines,
} from '../format.ts';

export async function runCacheFree(context: CliContext, input: CommandInput): Promise<number> {
  const path = pathOf(input);
  return context.withClient(async (client) => {
    const report = await client.freePath(path, { evenPinned: input.flag('evenPinned') });
    const names = await namesOf(client);
    if (context.json) await context.terminal.writeJson(report);
    else for (const line of freeLines(report, names)) await context.terminal.writeLine(line);
    return report.complete ? 0 : 1;
  });
}

/** `job free`: without an operation it waits, as `cache free` does. */
export async function runJobFree(context: CliContext, input: CommandInput): Promise<number> {
  const operations = (['submit', 'progress', 'stop'] as const).filter((name) => input.flag(name));
  const [operation, ...others] = operations;
  if (others.length > 0) throw usageError('use one of --submit, --progress and --stop');
  if (operation === undefined) return runCacheFree(context, input);
  const path = pathOf(input);
  const { terminal } = context;
  return context.withClient(async (client) => {
    if (operation === 'progress') {
      const status = await client.freeStatus(path);
      if (context.json) await terminal.writeJson(status);
      else await terminal.writeLine(`Free for path '${printable(path)}': ${status.state}`);
      if (status.report && !context.json) {
        const names = await namesOf(client);
        for (const line of freeLines(status.report, names)) await terminal.writeLine(line);
      }
      return 0;
    }
    const answer =
      operation === 'submit' ? await client.submitFree(path) : await client.stopFree(path);
    if (context.json) await terminal.writeJson(answer);
    else await terminal.writeLine(printable(answer.message));
    return answer.success ? 0 : 1;
  });
}

function freeLines(report: FreeReport, names: ReadonlyMap<PeerId, string>): string[] {
  const { files, freed, leased, pinned, peers } = report;
  const amountText = ({ segments, bytes }: Amount): string =>
    `${plural(segments, 'segment')}, ${formatSize(bytes)}`;
  return [
    ...fieldLines([
      ['path', printable(report.path)],
      ['files', formatCount(files)],
      ['freed', amountText(freed)],
      ...(leased.segments > 0
        ? [['kept', `${amountText(leased)}: a running load needs them`] satisfies [string, string]]
        : []),
      ...(pinned.segments > 0
        ? [
            [
              'kept',
              `${amountText(pinned)}: a rule pins them (--even-pinned frees them, too)`,
            ] satisfies [string, string],
          ]
        : []),
    ]),
    '',
    ...tableLines(
      [
        { title: 'PEER' },
        { title: 'FILES', align: 'right' },
        { title: 'SEGMENTS', align: 'right' },
        { title: 'BYTES', align: 'right' },
        { title: 'NOTE' },
      ],
      peers.map((peer) => [
        printable(names.get(peer.id) ?? peer.id),
        formatCount(peer.records),
        formatCount(peer.freed.segments),
        formatSize(peer.freed.bytes),
        peer.error === undefined ? '' : `lets go when it is back: ${printable(peer.error)}`,
      ]),
    ).map((line) => line.trimEnd()),
  ];
}

/** Exit code 0 when all of the path is cached, 1 when not. */
export async function runCacheCheck(context: CliContext, input: CommandInput): Promise<number> {
  const path = pathOf(input);
  const showsFiles = input.flag('files');
  const { terminal } = context;
  return context.withClient(async (client) => {
    let count = 0;
    if (context.json) await terminal.write('{"files":[');
    const report = await client.checkPath(path, {
      asksStore: !input.flag('cachedOnly'),
      onFile: async (file) => {
        if (context.json) {
          if (showsFiles)
            await terminal.write(`${count === 0 ? '\n' : ',\n'}${JSON.stringify(file)}`);
        } else if (showsFiles) await terminal.writeLine(checkedFileLine(file));
        count += 1;
      },
    });
    if (context.json) await terminal.write(`],\n"report":${JSON.stringify(report)}}\n`);
    else
      for (const line of checkLines(report, await namesOf(client))) await terminal.writeLine(line);
    return report.residentFiles === report.files && report.files > 0 ? 0 : 1;
  });
}

function checkedFileLine({ path, sizeBytes, state, replicaBytes }: CheckedFile): string {
  const shares =
    sizeBytes === 0 ? ['100%'] : replicaBytes.map((part) => formatPercent(part, sizeBytes));
  const note = state === 'loaded' || state === 'unchecked' ? '' : `  (${state})`;
  return `${shares.join('/')}  ${formatSize(sizeBytes)}  ${printable(path)}${note}`;
}

function checkLines(report: CheckReport, names: ReadonlyMap<PeerId, string>): string[] {
  const { files, sizeBytes, residentFiles, residentBytes, states, replicaBytes } = report;
  const others = (['outdated', 'not-loaded', 'gone'] as const)
    .filter((state) => states[state] > 0)
    .map((state) => `${formatCount(states[state])} ${state}`);
  return [
    ...fieldLines([
      ['path', printable(report.path)],
      ['files', `${formatCount(residentFiles)} of ${formatCount(files)} cached whole`],
      ['bytes', `${formatSize(residentBytes)} of ${formatSize(sizeBytes)}`],
      ['cached', sizeBytes === 0 ? '100%' : formatPercent(residentBytes, sizeBytes)],
      ...replicaBytes
        .slice(1)
        .map((bytes, copy): [string, string] => [
          `${String(copy + 2)} copies`,
          formatPercent(bytes, sizeBytes),
        ]),
      ...(others.length > 0 ? [['of these', others.join(', ')] satisfies [string, string]] : []),
      ...(report.storeError === undefined
        ? []
        : [
            ['note', `files of the catalogues only: ${printable(report.storeError)}`] satisfies [
              string,
              string,
            ],
          ]),
    ]),
    ...Object.entries(report.peerBytes).map(
      ([peer, bytes]) =>
        `  ${printable(names.get(peer as PeerId) ?? peer)} holds ${formatSize(bytes)}, ${formatPercent(bytes, sizeBytes)}`,
    ),
    ...report.unanswered.map(
      (peer) => `  ${printable(names.get(peer) ?? peer)} could not be asked`,
    ),
  ];
}

export async function runPin(
  context: CliContext,
  input: CommandInput,
  pinned: boolean,
): Promise<number> {
  return setRule(context, {
    path: pathOf(input),
    pinned: pinned ? true : null,
    ...(input.text('priority') !== undefined && { priority: input.text('priority') as string }),
  });
}

/** Alluxio's `priority add --path P --priority C`. */
export async function runPriorityAdd(context: CliContext, input: CommandInput): Promise<number> {
  const priority = input.text('priority');
  if (priority === undefined) throw usageError('--priority is missing: high, medium or low');
  return setRule(context, { path: pathOf(input), priority });
}

/** Changes the rule of a path; without any change, shows what is in force for it. */
export async function runRule(context: CliContext, input: CommandInput): Promise<number> {
  const path = pathOf(input);
  const names = ['priority', 'ttl', 'quota', 'freshness'] as const;
  const changes = names.flatMap((name) => {
    const given = input.text(name);
    if (input.flag('remove')) return [[name, null] as const];
    return given === undefined ? [] : [[name, given === 'none' ? null : given] as const];
  });
  if (input.flag('remove'))
    return setRule(context, { path, pinned: null, ...Object.fromEntries(changes) });
  if (changes.length === 0) return listRules(context, path);
  return setRule(context, { path, ...Object.fromEntries(changes) });
}

export async function runRules(context: CliContext): Promise<number> {
  return listRules(context, undefined);
}

async function listRules(context: CliContext, path: string | undefined): Promise<number> {
  const rules = await context.withClient((client) => client.rules(path));
  if (context.json) await context.terminal.writeJson({ rules });
  else if (rules.length === 0) context.terminal.message('no rules');
  else for (const line of ruleTable(rules)) await context.terminal.writeLine(line);
  return 0;
}

async function setRule(context: CliContext, request: RuleRequest): Promise<number> {
  const rule = await context.withClient((client) => client.setRule(request));
  if (context.json) await context.terminal.writeJson({ rule });
  else if (!rule) await context.terminal.writeLine(`no rule for ${printable(request.path)}`);
  else for (const line of ruleTable([rule])) await context.terminal.writeLine(line);
  return 0;
}

function ruleTable(rules: readonly RuleAnswer[]): string[] {
  return tableLines(
    ['PINNED', 'PRIORITY', 'TTL', 'QUOTA', 'FRESHNESS', 'PATH'].map((title) => ({ title })),
    rules.map(({ path, pinned, priority, ttlMs, quotaBytes, freshness }) => [
      pinned === true ? 'yes' : '-',
      priority ?? '-',
      ttlMs === undefined ? '-' : formatDuration(ttlMs),
      quotaBytes === undefined ? '-' : formatSize(quotaBytes),
      printable(freshness ?? '-'),
      printable(path),
    ]),
  );
}

function pathOf(input: CommandInput): string {
  const path = input.text('path') ?? input.args[0];
  if (path === undefined) throw usageError('the path is missing');
  return path.endsWith('/') && path.length > 1 ? path.slice(0, -1) : path;
}

/** Addresses by id; none where the cluster does not answer. */
async function namesOf(client: RingloadClient): Promise<ReadonlyMap<PeerId, string>> {
  try {
    return new Map((await client.cluster()).members.map(({ id, address }) => [id, address]));
  } catch (thrown) {
    if (toRingloadError(thrown).code === 'cancelled') throw thrown;
    return new Map();
  }
}
