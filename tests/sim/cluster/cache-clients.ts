/** What clients ask of the caches: rules, frees, checks; and loads of more than one root. */
import { JOB_DEFAULTS, UNPINNED_INDEX } from '../../../src/job/spec.ts';
import type { CheckReport, FreeReport } from '../../../src/residence/report.ts';
import type { ClientStep } from './client-step.ts';
import { rootOf, type Clients } from './clients.ts';
import { INDEX_PATH } from './job-roots.ts';
import { SEGMENT_BYTES } from './sim-config.ts';
import type { Cluster } from './strike.ts';

type CacheStep = Extract<ClientStep, { kind: 'rule' | 'free' | 'check' | 'submitMany' }>;

export class CacheClients {
  readonly #cluster: Cluster;
  readonly #clients: Pick<Clients, 'ask' | 'submit'>;

  constructor(cluster: Cluster, clients: Pick<Clients, 'ask' | 'submit'>) {
    this.#cluster = cluster;
    this.#clients = clients;
  }

  async take(step: CacheStep): Promise<void> {
    switch (step.kind) {
      case 'rule':
        await this.#setRule(step);
        return;
      case 'free':
        await this.#free(step);
        return;
      case 'check':
        await this.#check(step);
        return;
      case 'submitMany':
        await this.#submit(step);
        return;
    }
  }

  async #setRule(step: Extract<CacheStep, { kind: 'rule' }>): Promise<void> {
    const path = this.#pathOf(step);
    const { peer, changes } = step;
    const answer = await this.#clients.ask(peer, `rule ${path}`, ({ cache }) =>
      cache.setRule(path, changes),
    );
    if (answer) this.#cluster.world.count('rules.set');
  }

  async #free(step: Extract<CacheStep, { kind: 'free' }>): Promise<void> {
    const { world } = this.#cluster;
    const { peer, evenPinned } = step;
    const path = this.#pathOf(step);
    const answer = await this.#clients.ask(peer, `free ${path}`, async ({ cache }) => {
      let report: FreeReport | undefined;
      for await (const event of cache.free({ path, evenPinned }, new AbortController().signal))
        if ('report' in event) ({ report } = event);
      return report;
    });
    if (!answer?.value) return;
    world.count('frees');
    if (answer.value.peers.some(({ error }) => error !== undefined)) world.count('frees.late');
    await world.rules.freed(path, answer.value);
  }

  /** Files that are there, and no more of them than there is. */
  async #check({ peer, root }: Extract<CacheStep, { kind: 'check' }>): Promise<void> {
    const { world } = this.#cluster;
    const path = rootOf(root);
    const answer = await this.#clients.ask(peer, `check ${path}`, async ({ cache }) => {
      let report: CheckReport | undefined;
      const request = { path, asksStore: true };
      for await (const event of cache.check(request, new AbortController().signal)) {
        if ('report' in event) ({ report } = event);
        else {
          const { file } = event;
          const isTrue = file.replicaBytes.every((bytes) => bytes <= file.sizeBytes);
          world.check('rules', isTrue && world.ufs.versions.has(file.path), () => {
            return `${file.path} is told to have ${file.replicaBytes.join(', ')} of ${file.sizeBytes} bytes`;
          });
        }
      }
      return report;
    });
    if (answer?.value) world.count('checks');
  }

  #submit(step: Extract<CacheStep, { kind: 'submitMany' }>): Promise<void> {
    const { peer, isIndexed, replicaCount, segmented } = step;
    const { roots } = this.#cluster.world;
    const [first = '', ...others] = roots;
    const many = others.length > 0 ? { path: first, paths: roots } : { path: first };
    this.#cluster.world.count('submits.many');
    return this.#clients.submit(peer, {
      ...JOB_DEFAULTS,
      ...(isIndexed ? { path: INDEX_PATH, index: UNPINNED_INDEX } : many),
      ...{ segmentSizeBytes: SEGMENT_BYTES, batchSize: 2, replicaCount, segmented },
    });
  }

  #pathOf({ root, file }: Extract<CacheStep, { kind: 'rule' | 'free' }>): string {
    return file === undefined ? rootOf(root) : this.#cluster.pathOf(root, file);
  }
}
