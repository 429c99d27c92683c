/**
 * Threads that move bulk bytes leave the processor to the main thread, where Raft runs, and those
 * that load ahead leave it to those that readers wait for, on all peers of the machine.
 */
import { setPriority } from 'node:os';

export const NICENESS = { readers: 2, loads: 5 } as const;

/** For the calling thread: Linux counts niceness by thread. Elsewhere it is left as it is. */
export function stepBack(niceness: number): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, niceness);
  } catch {
    // Who may not be nicer is as nice as before: only slower to hear.
  }
}
