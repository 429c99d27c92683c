/**
 * One peer with default settings and an empty cache, loading all objects of an origin. SUCCEEDED
 * is durable: every segment is synced before its owner acknowledges it.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../tests/support/free-port.ts';
import { Peer } from '../../tests/support/peer-process.ts';
import { waitFor } from '../../tests/support/wait-for.ts';
import { type Origin, ORIGIN_BUCKET } from './origin.ts';
import type { Contender } from './pairs.ts';

const PROGRAM = join(process.cwd(), 'dist/cli/main.js');
const PROFILED_PROGRAM = join(import.meta.dirname, 'profiled-peer.js');
const LOAD_DEADLINE_MS = 900_000;
/** How late the end of a load may be noticed. */
const POLL_MS = 10;

export interface PeerContenderOptions {
  /** Default `ringload`. */
  readonly name?: string;
  /** Compiled command line; default that of `dist`. */
  readonly program?: string;
  readonly origin: Origin;
  readonly folder: string;
  readonly segmentSizeBytes: number;
  /** Folder for a CPU profile of the peer; each run writes one. */
  readonly profileFolder?: string | undefined;
}

export function peerContender(options: PeerContenderOptions): Contender {
  const { origin, segmentSizeBytes, profileFolder, name = 'ringload' } = options;
  const program = profileFolder === undefined ? (options.program ?? PROGRAM) : PROFILED_PROGRAM;
  const folder = join(options.folder, 'peer');
  const capacity = Math.max(2 ** 30, Math.ceil(origin.count * origin.sizeBytes * 1.5) + 2 ** 30);
  let peer: Peer | undefined;
  const cleanUp = async (): Promise<void> => {
    await peer?.stop();
    peer = undefined;
    await rm(folder, { recursive: true, force: true });
  };
  return {
    name,
    pids: () => (peer === undefined ? [] : [peer.pid]),
    cleanUp,
    prepare: async () => {
      await cleanUp();
      const dataDir = join(folder, 'data');
      await mkdir(dataDir, { recursive: true });
      const trusted = join(folder, 'ca.pem');
      if (origin.caCert !== undefined) await writeFile(trusted, origin.caCert);
      peer = new Peer({
        index: 0,
        program,
        dataDir,
        restPort: await freePort(),
        dataPort: await freePort(),
        join: [],
        mounts: [origin.mount],
        args: ['--cache-dir', `${join(folder, 'cache')}=${capacity}`, '--log-level', 'warn'],
        env: {
          ...(profileFolder !== undefined && { BENCH_PROFILE_FOLDER: profileFolder }),
          ...(origin.caCert !== undefined && { NODE_EXTRA_CA_CERTS: trusted }),
        },
      });
      await peer.start();
      await peer.waitReady();
    },
    run: async () => {
      if (peer === undefined) throw new Error('no peer was prepared');
      const { api } = peer;
      const request = { path: `s3://${ORIGIN_BUCKET}`, segmentSize: segmentSizeBytes };
      const { jobId } = await api.submit(request);
      const job = await waitFor(
        async () => {
          const status = await api.job(jobId);
          return status.endedAtMs === undefined ? undefined : status;
        },
        {
          what: 'the load to end',
          deadlineMs: LOAD_DEADLINE_MS,
          intervalMs: POLL_MS,
          context: () => peer?.logs() ?? '',
        },
      );
      const { counters, state, failure, amplification } = job;
      if (state !== 'SUCCEEDED') throw new Error(`the load ${state}: ${failure?.message ?? ''}`);
      if (amplification !== 1) throw new Error(`the amplification is ${amplification}, not 1`);
      return { bytes: counters.loadedBytes, objects: counters.loadedFiles };
    },
  };
}
