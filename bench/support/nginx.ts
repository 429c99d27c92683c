/**
 * nginx as a benchmark's origin and yardstick: whole files and ranges by sendfile, from memory where
 * the machine has a tmpfs, so that neither a disk nor JavaScript stands behind what is measured.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, cleanEnvironment } from '../../tests/support/child.ts';
import { freePort } from '../../tests/support/free-port.ts';
import { waitFor } from '../../tests/support/wait-for.ts';
import type { Identity } from '../../tests/support/certificates.ts';
import { isExecutable } from './executable.ts';

const PROGRAM = '/usr/sbin/nginx';
const MEMORY_FOLDER = '/dev/shm';
const PIECE_BYTES = 1024 * 1024;
const FILES_AT_ONCE = 64;
/** As nginx's documentation of its slice module has it. */
const SLICES = `
          slice 1m;
          proxy_cache slices;
          proxy_cache_key $uri$slice_range;
          proxy_cache_valid 200 206 1h;
          proxy_cache_lock on;
          proxy_set_header Range $slice_range;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_pass http://cached;
        `;

export interface NginxOptions {
  readonly root: string;
  /** Paths that another server answers, `/bench` say, and its address. */
  readonly forwarded?: { readonly paths: readonly string[]; readonly to: string };
  readonly tls?: Identity;
  /** Caches what this other server has, by slices of 1 MiB, in place of serving files. */
  readonly sliceCacheOf?: string;
  /** MB/s that each connection gets at most; absent: as much as it takes. */
  readonly rateMbps?: number;
  /** Default 2. */
  readonly workerCount?: number;
}

export interface Nginx extends AsyncDisposable {
  readonly endpoint: string;
  /** Master and workers. */
  pids(): Promise<readonly number[]>;
}

export function isNginxInstalled(): boolean {
  return isExecutable(PROGRAM);
}

/** A folder in memory, or in the temporary folder where there is none. */
export async function fastFolder(): Promise<string> {
  const parent = isExecutable(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir();
  return mkdtemp(join(parent, 'ringload-origin-'));
}

/** `names` of one file of random bytes: they cost a link each, and the memory of one file. */
export async function linkFiles(
  folder: string,
  names: readonly string[],
  sizeBytes: number,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const [first = '', ...others] = names.map((name) => join(folder, name));
  const file = await open(first, 'w');
  const piece = randomBytes(PIECE_BYTES);
  for (let at = 0; at < sizeBytes; at += piece.length) {
    await file.write(piece.subarray(0, Math.min(piece.length, sizeBytes - at)));
  }
  await file.close();
  for (let at = 0; at < others.length; at += FILES_AT_ONCE) {
    await Promise.all(others.slice(at, at + FILES_AT_ONCE).map((name) => link(first, name)));
  }
}

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'ringload-nginx-'));
  const port = await freePort();
  const config = join(folder, 'nginx.conf');
  if (options.tls) {
    await writeFile(join(folder, 'cert.pem'), options.tls.cert);
    await writeFile(join(folder, 'key.pem'), options.tls.key);
  }
  await writeFile(config, configOf(options, folder, port));
  const child = await Child.start({
    command: PROGRAM,
    args: ['-p', folder, '-c', config, '-e', 'stderr'],
    env: cleanEnvironment(),
  });
  const endpoint = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const workerCount = options.workerCount ?? 2;
  await waitFor(async () => (await childrenOf(child.pid)).length >= workerCount, {
    what: 'nginx to start its workers',
    context: () => child.logs(),
  });
  return {
    endpoint,
    pids: async () => [child.pid, ...(await childrenOf(child.pid))],
    [Symbol.asyncDispose]: async () => {
      await child.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configOf(
  { root, forwarded, tls, sliceCacheOf, rateMbps, workerCount = 2 }: NginxOptions,
  folder: string,
  port: number,
): string {
  const forwards = (forwarded?.paths ?? []).map(
    (path) => `location = ${path} { proxy_pass ${forwarded?.to ?? ''}; }`,
  );
  const isRoot = process.getuid?.() === 0;
  return `
    daemon off;
    ${isRoot ? 'user root;' : ''}
    pid ${join(folder, 'nginx.pid')};
    worker_processes ${workerCount};
    events { worker_connections 4096; }
    http {
      access_log off;
      default_type application/octet-stream;
      sendfile on;
      tcp_nopush on;
      keepalive_requests 1000000000;
      keepalive_timeout 120s;
      proxy_temp_path ${folder}/proxy;
      client_body_temp_path ${folder}/body;
      fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi;
      scgi_temp_path ${folder}/scgi;
      ${sliceCacheOf === undefined ? '' : cacheOf(sliceCacheOf, folder)}
      server {
        listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
        ${tls ? `ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;` : ''}
        ${rateMbps === undefined ? '' : `limit_rate ${rateMbps * 1_000_000};`}
        ${forwards.join('\n        ')}
        location / { ${sliceCacheOf === undefined ? `root ${root};` : SLICES} }
      }
    }
  `;
}

function cacheOf(endpoint: string, folder: string): string {
  return `
      proxy_cache_path ${folder}/cache levels=1:2 keys_zone=slices:16m max_size=8g inactive=1d use_temp_path=off;
      upstream cached { server ${new URL(endpoint).host}; keepalive 64; keepalive_requests 1000000000; }
  `;
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1');
  return text.split(' ').filter(Boolean).map(Number);
}
