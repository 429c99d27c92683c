/** `cluster status|peers|leader|transfer|remove`. */
import { RingloadError } from '../../base/errors.ts';
import type { ClusterView, MemberView } from '../../http/services.ts';
import { type CommandInput, usageError } from '../input.ts';
import type { CliContext } from '../context.ts';
import { fieldLines, formatCount, plural, printable, tableLines } from '../format.ts';
import { repairTable, repairText } from '../repair-report.ts';
import { nearest } from '../../config/nearest.ts';

export async function runClusterStatus(context: CliContext): Promise<number> {
  const view = await context.withClient((client) => client.cluster());
  if (context.json) {
    await context.terminal.writeJson(view);
    return 0;
  }
  const leader = leaderOf(view);
  const lines = fieldLines([
    ['cluster', view.clusterId],
    ['leader', leader ? `${leader.address} (${leader.id})` : 'none'],
    ['term', formatCount(view.term)],
    ['epoch', formatCount(view.epoch)],
    [
      'log',
      `${formatCount(view.appliedIndex)} applied of ${formatCount(view.commitIndex)} committed`,
    ],
    ['members', membersText(view.members)],
    ['repair', repairText(view)],
    ...(view.stale
      ? [['note', 'no quorum confirms this at the moment'] satisfies [string, string]]
      : []),
  ]);
  const repairing = repairTable(view);
  const tables = ['', ...peerTable(view), ...(repairing.length > 0 ? ['', ...repairing] : [])];
  for (const line of [...lines, ...tables]) await context.terminal.writeLine(line);
  return 0;
}

export async function runClusterPeers(context: CliContext): Promise<number> {
  const view = await context.withClient((client) => client.cluster());
  if (context.json) await context.terminal.writeJson({ members: view.members });
  else for (const line of peerTable(view)) await context.terminal.writeLine(line);
  return 0;
}

export async function runClusterLeader(context: CliContext): Promise<number> {
  const view = await context.withClient((client) => client.cluster());
  const leader = leaderOf(view);
  if (!leader) throw new RingloadError('no_leader', 'no leader is elected at the moment');
  if (context.json) await context.terminal.writeJson({ leader, stale: view.stale });
  else await context.terminal.writeLine(`${printable(leader.address)} ${leader.id}`);
  if (view.stale) context.terminal.message('ringload: no quorum confirms this at the moment');
  return 0;
}

export async function runClusterTransfer(
  context: CliContext,
  input: CommandInput,
): Promise<number> {
  return context.withClient(async (client) => {
    const member = memberNamed(await client.cluster(), input.argument(0));
    await client.transferLeadership(member.id);
    if (context.json) await context.terminal.writeJson({ leaderId: member.id });
    else await context.terminal.writeLine(`${printable(member.address)} (${member.id}) leads now`);
    return 0;
  });
}

export async function runClusterRemove(context: CliContext, input: CommandInput): Promise<number> {
  return context.withClient(async (client) => {
    const member = memberNamed(await client.cluster(), input.argument(0));
    const force = input.flag('force');
    await client.removeMember(member.id, { force });
    if (context.json) {
      await context.terminal.writeJson({ member: member.id, state: force ? 'left' : 'draining' });
    } else {
      const text = `${printable(member.address)} (${member.id})`;
      const drains = `draining ${text}: it leaves once its data has moved`;
      await context.terminal.writeLine(force ? `removed ${text}` : drains);
    }
    return 0;
  });
}

/**
 * The member with that address, id, or beginning of an id.
 * @throws not_found, or invalid_argument when several ids begin so.
 */
export function memberNamed(view: ClusterView, name: string): MemberView {
  const exact = view.members.find((member) => member.id === name || member.address === name);
  if (exact) return exact;
  const byPrefix = view.members.filter((member) => name.length >= 4 && member.id.startsWith(name));
  const [only] = byPrefix;
  if (only && byPrefix.length === 1) return only;
  if (byPrefix.length > 1) {
    throw usageError(`'${name}' is the beginning of ${byPrefix.length} member ids`);
  }
  const close = nearest(
    name,
    view.members.flatMap((member) => [member.address, member.id]),
  );
  const hint = close === undefined ? '' : ` (did you mean ${printable(close)}?)`;
  throw new RingloadError('not_found', `no member has the id or address '${name}'${hint}`);
}

function leaderOf(view: ClusterView): MemberView | undefined {
  return view.members.find((member) => member.id === view.leaderId);
}

function membersText(members: readonly MemberView[]): string {
  const counts = new Map<string, number>();
  for (const { state } of members) counts.set(state, (counts.get(state) ?? 0) + 1);
  const states = [...counts].map(([state, count]) => `${formatCount(count)} ${state}`);
  const voters = members.filter((member) => member.role !== 'learner').length;
  return `${formatCount(members.length)}: ${[...states, plural(voters, 'voter')].join(', ')}`;
}

function peerTable(view: ClusterView): string[] {
  return tableLines(
    [
      { title: 'PEER' },
      { title: 'ID' },
      { title: 'STATE' },
      { title: 'ROLE' },
      { title: 'SHARE', align: 'right' },
      { title: 'WEIGHT', align: 'right' },
      { title: 'ZONE' },
    ],
    view.members.map((member) => [
      printable(member.address),
      member.id,
      member.state,
      member.role,
      `${(100 * member.share).toFixed(1)}%`,
      String(member.weight),
      printable(member.zone === '' ? '-' : member.zone),
    ]),
  );
}
