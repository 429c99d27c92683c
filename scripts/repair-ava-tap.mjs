/**
 * Loaded into ava's main process (`node --import`): mends two faults of the TAP reporter of 7.0.0.
 *
 * - It dies, and the run with it, when a test file calls process.exit or times out: the errors it
 *   makes for that lack a field that it reads.
 * - Of a stack it prints the first line, which is one of ava's own: the line of the test is lost.
 *
 * With another version of ava this may find nothing to mend; the runner then still counts right.
 */
const FRAMES_SHOWN = 5;
const FOREIGN_FRAME = /node_modules\/ava\/|\(?node:internal\//;

const { default: TapReporter } = await import('../node_modules/ava/lib/reporters/tap.js').catch(
  () => ({ default: undefined }),
);

if (TapReporter?.prototype.writeTest) {
  const writeTest = TapReporter.prototype.writeTest;
  TapReporter.prototype.writeTest = function (event, flags) {
    const { err } = event;
    if (err && err.originalError === undefined && err.type !== 'unknown') {
      err.originalError = new Error(err.message ?? 'no details are known');
      err.name ??= 'Error';
    }
    return writeTest.call(this, event, flags);
  };
  Object.defineProperty(TapReporter.prototype, 'sanitizeStackOutput', {
    get: () => ownFrames,
    // The constructor assigns an option that nobody can set.
    set: () => {},
  });
}

/** The message line, then the frames that are not ava's on one line: the reporter prints no more. */
function ownFrames(stack) {
  const lines = stack?.split('\n') ?? [];
  const frames = lines.filter((line) => /^\s*at /.test(line) && !FOREIGN_FRAME.test(line));
  const shown = frames.slice(0, FRAMES_SHOWN).map((frame) => frame.trim().replace(/^at /, ''));
  return `${lines[0] ?? ''}\n    at ${shown.join(' ← ')}`;
}
