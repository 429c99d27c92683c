/**
 * Answers with values as they come, one line of JSON each: for work that takes as long as it
 * takes. The last value is repeated while nothing new comes, so that neither client nor proxy
 * takes the silence for an end. What fails after the first line is a line, too: `{"error": …}`;
 * an answer that ends without the line that its reader waits for is not whole.
 */
import { once } from 'node:events';
import { problemOf } from './problem.ts';
import type { HttpContext, HttpDeps } from './context.ts';

export const LINES_TYPE = 'application/x-ndjson';
const REPEAT_MS = 5000;

/** @param gone aborted when the client has left; it ends the values, too. */
export async function streamLines(
  ctx: HttpContext,
  values: AsyncIterable<unknown>,
  gone: AbortSignal,
  deps: HttpDeps,
): Promise<void> {
  const { res } = ctx;
  ctx.status = 200;
  ctx.set('Content-Type', LINES_TYPE);
  ctx.respond = false;
  res.flushHeaders();
  let line = '{}\n';
  let timer = deps.clock.setTimer(REPEAT_MS, repeat);
  function repeat(): void {
    if (!res.writableNeedDrain) res.write(line);
    timer = deps.clock.setTimer(REPEAT_MS, repeat);
  }
  try {
    for await (const value of values) {
      line = `${JSON.stringify(value)}\n`;
      if (!res.write(line)) await once(res, 'drain', { signal: gone });
    }
  } catch (thrown) {
    const problem = problemOf(thrown, ctx.state.requestId);
    if (!gone.aborted) res.write(`${JSON.stringify({ error: problem })}\n`);
  } finally {
    timer.cancel();
    res.end();
  }
}
