/** Threads that move bulk bytes leave the processor to the main thread, where Raft runs. */
import { setPriority } from 'node:os';

const NICENESS = 5;

/** For the calling thread: Linux counts niceness by thread. Elsewhere it is left as it is. */
export function stepBack(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, NICENESS);
  } catch {
    // Who may not be nicer is as nice as before: only slower to hear.
  }
}
