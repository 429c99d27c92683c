/** Starts a child that would live for ever, tells its pid, and ends as the argument says. */
import { Child } from '../support/child.ts';

const child = await Child.start({
  command: process.execPath,
  args: ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'],
});
console.log(child.pid);
const ending = process.argv[2];
if (ending === 'throw') throw new Error('as it was told');
if (ending === 'exit') process.exit(3);
// Otherwise the test sends a signal.
