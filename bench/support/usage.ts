/**
 * What processes cost, from /proc (Linux): CPU time of all threads, peak memory. Whole processes
 * are counted, never single threads: work moved to a worker is still work.
 */
import { readFile, writeFile } from 'node:fs/promises';

/** USER_HZ: what the kernel counts in for /proc, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface CpuTimes {
  /** Of the process itself, user and system. */
  readonly ownSeconds: number;
  /** Of its children that have ended and were waited for. */
  readonly childrenSeconds: number;
}

async function cpuTimes(pid: number | 'self'): Promise<CpuTimes> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  // Fields after the name, which may contain blanks: state is the third, utime the 14th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    ownSeconds: (field(14) + field(15)) / TICKS_PER_SECOND,
    childrenSeconds: (field(16) + field(17)) / TICKS_PER_SECOND,
  };
}

/**
 * CPU seconds of those processes so far, and of every child of ours that has ended: the difference
 * of two calls is what ran in between, be it in peers that go on or in tools that came and went.
 */
export async function cpuSeconds(pids: readonly number[]): Promise<number> {
  const [self, ...others] = await Promise.all([cpuTimes('self'), ...pids.map(cpuTimes)]);
  return others.reduce((sum, { ownSeconds }) => sum + ownSeconds, self.childrenSeconds);
}

/** Resident memory now. */
export async function residentBytes(pid: number): Promise<number> {
  return statusBytes(pid, 'VmRSS');
}

/** Peak resident memory of each process since its start or {@link resetPeaks}, added up. */
export async function peakBytes(pids: readonly number[]): Promise<number> {
  const peaks = await Promise.all(pids.map((pid) => statusBytes(pid, 'VmHWM')));
  return peaks.reduce((sum, bytes) => sum + bytes, 0);
}

/** Makes {@link peakBytes} count from now on. */
export async function resetPeaks(pids: readonly number[]): Promise<void> {
  await Promise.all(pids.map((pid) => writeFile(`/proc/${pid}/clear_refs`, '5')));
}

async function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
}
