/**
 * Names that processes of a test resolve, and nobody else: a file that they see as /etc/hosts, and
 * no name server. What is written to it holds from the next look-up on. Needs root and unshare.
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PeerPlace } from '../../support/peer-process.ts';

const BIND = [
  'mount --bind "$0/hosts" /etc/hosts',
  'mount --bind "$0/resolv.conf" /etc/resolv.conf',
  'mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf',
  'exec "$@"',
].join(' && ');

export class HostsFile {
  readonly #folder: string;
  readonly #addresses = new Map<string, string>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(folder: string): Promise<HostsFile> {
    const file = new HostsFile(folder);
    await writeFile(join(folder, 'resolv.conf'), '');
    await writeFile(join(folder, 'nsswitch.conf'), 'hosts: files\n');
    await file.#write();
    return file;
  }

  /** What is missing, for `requires`. */
  static missing(): string | undefined {
    if (process.platform !== 'linux') return 'Linux (mount namespaces)';
    if (process.getuid?.() !== 0) return 'root (mount namespaces)';
    const probe = ['-m', 'mount', '--bind', '/etc/hosts', '/etc/hosts'];
    return spawnSync('unshare', probe).status === 0 ? undefined : 'unshare with mount namespaces';
  }

  /** A peer that resolves names by this file, and listens on every address. */
  get place(): PeerPlace {
    return { host: '0.0.0.0', prefix: ['unshare', '-m', 'sh', '-c', BIND, this.#folder] };
  }

  async set(name: string, address: string): Promise<void> {
    this.#addresses.set(name, address);
    await this.#write();
  }

  /** The name is unknown from now on. */
  async forget(name: string): Promise<void> {
    this.#addresses.delete(name);
    await this.#write();
  }

  /** Into the same file: another one would not be seen through the mount. */
  async #write(): Promise<void> {
    const lines = [...this.#addresses].map(([name, address]) => `${address} ${name}`);
    await writeFile(join(this.#folder, 'hosts'), ['127.0.0.1 localhost', ...lines, ''].join('\n'));
  }
}
