/**
 * Network namespaces for real partitions: one per peer, joined by a bridge to which this process
 * and the origin belong, too. What is cut is cut by the kernel: packets are dropped, connections
 * are not reset, TCP retransmits and backs off as it does between hosts.
 *
 * Only traffic between peers, and from the origin, is ever touched; this process always reaches
 * every peer. Needs root, iproute2 and nftables. Everything has names of this process and is
 * removed at the end.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { delimiter } from 'node:path';
import { promisify } from 'node:util';
import type { Peer, PeerPlace } from '../../support/peer-process.ts';

/** Why: npm puts its packages' programs first, and one of them is called nft, too. */
const env = {
  ...process.env,
  PATH: (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter),
};

const run = (program: string, args: readonly string[]): Promise<{ readonly stdout: string }> =>
  promisify(execFile)(program, args, { env });

/** Which packets a cut drops; absent: all of them. */
export interface CutScope {
  /** Those to this TCP port of the receiver. */
  readonly toPort?: number;
}

interface Cell {
  readonly name: string;
  /** The end of its cable at the bridge. */
  readonly cable: string;
  readonly address: string;
}

export class Namespaces implements AsyncDisposable {
  readonly #cells: Cell[] = [];
  readonly #bridge: string;
  readonly #network: string;
  /** Rules by the namespace that they stand in. */
  readonly #rules = new Map<number, string[]>();
  readonly #changed = new Set<number>();

  private constructor() {
    const mark = process.pid.toString(36);
    this.#bridge = `rlb${mark}`;
    this.#network = `10.231.${process.pid % 250}`;
  }

  /** Undefined when namespaces can be had here, else what is missing. */
  static async missing(): Promise<string | undefined> {
    if (process.getuid?.() !== 0) return 'root (network namespaces)';
    for (const [program, args] of [
      ['ip', ['-V']],
      ['nft', ['-v']],
      ['tc', ['-V']],
    ] as const) {
      if (!(await works(program, args))) return `the program ${program}`;
    }
    const probe = `rlprobe${process.pid.toString(36)}`;
    if (!(await works('ip', ['netns', 'add', probe]))) return 'a kernel with network namespaces';
    const filter = await works('ip', ['netns', 'exec', probe, 'nft', 'add table inet probe']);
    const tbf = ['root', 'tbf', 'rate', '1mbit', 'burst', '16kb', 'latency', '400ms'];
    const shaper = await works('tc', ['-n', probe, 'qdisc', 'add', 'dev', 'lo', ...tbf]);
    await works('ip', ['netns', 'del', probe]);
    if (!filter) return 'a kernel with nftables';
    return shaper ? undefined : 'a kernel with token buckets (sch_tbf)';
  }

  static async create(count: number): Promise<Namespaces> {
    const namespaces = new Namespaces();
    try {
      await namespaces.#build(count);
      return namespaces;
    } catch (error) {
      await namespaces[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Of the origin; cuts and losses hit it like a peer. */
  get originHost(): string {
    return `${this.#network}.253`;
  }

  get places(): readonly PeerPlace[] {
    return this.#cells.map(({ name, address }) => ({
      host: address,
      prefix: ['ip', 'netns', 'exec', name],
    }));
  }

  /** Drops what `from` sends to `to`. */
  cut(from: Peer, to: Peer, { toPort }: CutScope = {}): void {
    const port = toPort === undefined ? '' : ` tcp dport ${toPort}`;
    this.#add(to.index, `ip saddr ${from.host}${port} counter drop`);
  }

  /** Drops everything between one peer and all others, by rules in its own namespace alone. */
  isolate(peer: Peer): void {
    const addresses = this.#cells.map(({ address }) => address);
    const others = addresses.filter((address) => address !== peer.host).join(', ');
    this.#add(peer.index, `ip saddr { ${others} } counter drop`);
    this.#add(peer.index, `ip daddr { ${others} } counter drop`, 'out');
  }

  /** Drops everything between peers of different sides. */
  partition(...sides: readonly (readonly Peer[])[]): void {
    for (const side of sides) {
      for (const other of sides) {
        if (side === other) continue;
        for (const from of side) for (const to of other) this.cut(from, to);
      }
    }
  }

  /** Drops that share of all packets from peers and from the origin, at every peer. */
  lose(percent: number): void {
    const senders = [...this.#cells.map(({ address }) => address), this.originHost].join(', ');
    for (const index of this.#cells.keys()) {
      this.#add(index, `ip saddr { ${senders} } numgen random mod 100 < ${percent} counter drop`);
    }
  }

  /** Removes every cut and loss with the next {@link apply}. */
  heal(): void {
    for (const [index, rules] of this.#rules) {
      if (rules.length > 0) this.#changed.add(index);
      this.#rules.set(index, []);
    }
  }

  /** Puts the rules into force, one namespace at a time, each at once. */
  async apply(): Promise<void> {
    const changed = [...this.#changed];
    this.#changed.clear();
    await Promise.all(
      changed.map((index) =>
        this.#nft(index, ['flush table inet rl', ...(this.#rules.get(index) ?? [])].join('\n')),
      ),
    );
  }

  /** Packets that the rules in force have dropped: a cut that drops none shows nothing. */
  async droppedCount(): Promise<number> {
    const listings = await Promise.all(
      this.#cells.map(({ name }) => run('ip', ['netns', 'exec', name, 'nft', 'list', 'ruleset'])),
    );
    let count = 0;
    for (const { stdout } of listings) {
      for (const [, packets] of stdout.matchAll(/counter packets (\d+)/g)) count += Number(packets);
    }
    return count;
  }

  /** Bounds what reaches the peer from anywhere; undefined lifts the bound. */
  async slowDown(peer: Peer, rate: string | undefined): Promise<void> {
    const { cable } = this.#cellOf(peer.index);
    if (rate === undefined) await run('tc', ['qdisc', 'del', 'dev', cable, 'root']);
    else {
      const tbf = ['tbf', 'rate', rate, 'burst', '16kb', 'latency', '400ms'];
      await run('tc', ['qdisc', 'replace', 'dev', cable, 'root', ...tbf]);
    }
  }

  /** All that has come to the peer over its cable since it was laid. */
  async receivedBytes(peer: Peer): Promise<number> {
    const { cable } = this.#cellOf(peer.index);
    return Number(await readFile(`/sys/class/net/${cable}/statistics/tx_bytes`, 'utf8'));
  }

  /** Each peer must have ended before; its namespace goes with everything in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { name } of this.#cells) await works('ip', ['netns', 'del', name]);
    await works('ip', ['link', 'del', this.#bridge]);
  }

  async #build(count: number): Promise<void> {
    const bridge = this.#bridge;
    await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
    for (const host of ['254', '253']) {
      await run('ip', ['address', 'add', `${this.#network}.${host}/24`, 'dev', bridge]);
    }
    await run('ip', ['link', 'set', bridge, 'up']);
    for (let index = 0; index < count; index++) await this.#addCell(index);
  }

  async #addCell(index: number): Promise<void> {
    const mark = `${process.pid.toString(36)}-${index}`;
    const cell = {
      name: `rl${mark}`,
      cable: `rlv${mark}`,
      address: `${this.#network}.${index + 1}`,
    };
    const { name, cable, address } = cell;
    await run('ip', ['netns', 'add', name]);
    this.#cells.push(cell);
    const peer = ['peer', 'name', 'eth0', 'netns', name];
    await run('ip', ['link', 'add', cable, 'type', 'veth', ...peer]);
    await run('ip', ['link', 'set', cable, 'master', this.#bridge, 'up']);
    await run('ip', ['-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0']);
    for (const device of ['lo', 'eth0']) await run('ip', ['-n', name, 'link', 'set', device, 'up']);
    const chains = [
      ['in', 'input'],
      ['out', 'output'],
    ].map(([chain, hook]) => `add chain inet rl ${chain} { type filter hook ${hook} priority 0; }`);
    await this.#nft(index, ['add table inet rl', ...chains].join('\n'));
  }

  #add(index: number, rule: string, chain: 'in' | 'out' = 'in'): void {
    const line = `add rule inet rl ${chain} ${rule}`;
    this.#rules.set(index, [...(this.#rules.get(index) ?? []), line]);
    this.#changed.add(index);
  }

  #cellOf(index: number): Cell {
    const cell = this.#cells[index];
    if (!cell) throw new Error(`there is no namespace for peer ${index}`);
    return cell;
  }

  async #nft(index: number, script: string): Promise<void> {
    const { name } = this.#cellOf(index);
    const nft = spawn('ip', ['netns', 'exec', name, 'nft', '-f', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env,
    });
    let complaint = '';
    nft.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
    nft.stdin.end(script);
    const [code] = (await once(nft, 'close')) as [number | null];
    if (code !== 0) throw new Error(`nft in ${name} ended with ${String(code)}: ${complaint}`);
  }
}

async function works(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}
