/**
 * wrk as the reader of benchmarks: kept-alive connections that each ask for one random, aligned
 * range after another. It costs little beside what it measures.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isExecutable } from './executable.ts';

const PROGRAM = '/usr/bin/wrk';
const THREAD_COUNT = 2;

/** What may be asked for: `slots` ranges of one resource. */
export interface Target {
  /** Request target; `{from}` and `{length}` in it are replaced. */
  readonly path: string;
  readonly slotCount: number;
}

export interface WrkOptions {
  readonly endpoint: string;
  readonly targets: readonly Target[];
  readonly rangeBytes: number;
  /** Ask with a `Range` header; otherwise the range is in the path. */
  readonly byHeader: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly connectionCount: number;
  readonly seconds: number;
}

export interface WrkResult {
  readonly requestCount: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function isWrkInstalled(): boolean {
  return isExecutable(PROGRAM);
}

/** @throws when a request failed, or was answered with an error. */
export async function runWrk(options: WrkOptions): Promise<WrkResult> {
  const folder = await mkdtemp(join(tmpdir(), 'ringload-wrk-'));
  try {
    const script = join(folder, 'range.lua');
    await writeFile(script, scriptOf(options));
    const { stdout } = await promisify(execFile)(PROGRAM, [
      ...['-t', String(THREAD_COUNT), '-c', String(options.connectionCount)],
      ...['-d', `${options.seconds}s`, '--timeout', '30s', '-s', script, options.endpoint],
    ]);
    const line = /^RESULT (.*)$/m.exec(stdout)?.[1];
    if (line === undefined) throw new Error(`wrk said nothing that counts:\n${stdout}`);
    const told = JSON.parse(line) as WrkResult & { readonly failedCount: number };
    const { failedCount, ...result } = told;
    if (failedCount > 0) throw new Error(`${failedCount} requests failed:\n${stdout}`);
    return result;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function scriptOf({ targets, rangeBytes, byHeader, headers = {} }: WrkOptions): string {
  const table = targets.map(({ path, slotCount }) => `{ ${JSON.stringify(path)}, ${slotCount} },`);
  const fixed = Object.entries(headers).map(
    ([name, value]) => `  headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  return `
local targets = {
${table.join('\n')}
}
local length = ${rangeBytes}
local number = 0
function setup(thread)
  number = number + 1
  thread:set("seed", number)
end
function init(args) math.randomseed(1000 + seed) end
function request()
  local target = targets[math.random(#targets)]
  local from = (math.random(target[2]) - 1) * length
  local headers = {}
${fixed.join('\n')}
  local path = target[1]
  if ${byHeader} then
    headers["range"] = string.format("bytes=%.0f-%.0f", from, from + length - 1)
  else
    path = path:gsub("{from}", string.format("%.0f", from)):gsub("{length}", string.format("%.0f", length))
  end
  return wrk.format("GET", path, headers)
end
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format(
    'RESULT {"requestCount":%d,"bytes":%.0f,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"failedCount":%d}',
    summary.requests, summary.requests * length, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;
}
