/**
 * Puts failpoints into action, for tests of Ringload: `RINGLOAD_FAILPOINTS` holds orders, or the
 * path of a file with orders behind an `@`. Without the variable every failpoint does nothing.
 *
 *   job.batch.sent=kill@2; job.checkpoint.made=pause:3000@1; cache.data.synced=throw
 *
 * An order acts on the n-th hit, or on every hit when it names none. A file is read anew at every
 * hit; when it has changed, counting begins again. All hits are noted in `<file>.hits`, one a line,
 * and so are the orders that acted, and the file's text whenever it was read anew.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { RingloadError } from '../base/errors.ts';
import {
  isFailpoint,
  isPause,
  setFailpointHook,
  type Failpoint,
  type FailpointHook,
} from '../base/failpoint.ts';
import type { Logger } from '../base/logger.ts';

interface FailpointOrder {
  readonly name: Failpoint;
  /** `kill`: SIGKILL to this process, after `ms` where it can wait; `block`: no event is handled. */
  readonly action: 'kill' | 'pause' | 'block' | 'throw';
  readonly ms: number;
  /** Undefined: every hit. */
  readonly nth: number | undefined;
}

const ORDER =
  /^(?<name>[a-z.]+)=(?<action>kill|pause|block|throw)(?::(?<ms>\d+))?(?:@(?<nth>\d+))?$/;

/** @throws config_invalid for an unknown failpoint, or an action that it cannot take. */
export function parseFailpoints(text: string): readonly FailpointOrder[] {
  const parts = text.split(/[;\n]/).map((part) => part.trim());
  return parts.filter((part) => part !== '' && !part.startsWith('#')).map(parseOrder);
}

function parseOrder(text: string): FailpointOrder {
  const { name = '', action = '', ms, nth } = ORDER.exec(text)?.groups ?? {};
  if (!isFailpoint(name)) throw invalid(text, 'no such failpoint or action');
  const order = {
    name,
    action: action as FailpointOrder['action'],
    ms: Number(ms ?? 0),
    nth: nth === undefined ? undefined : Number(nth),
  };
  const waits = order.action === 'pause' || (order.action === 'kill' && ms !== undefined);
  if (waits && !isPause(name)) throw invalid(text, 'this step cannot be held up');
  const needsMs = order.action === 'pause' || order.action === 'block';
  if (needsMs && ms === undefined) throw invalid(text, 'it needs a number of milliseconds');
  return order;
}

function invalid(text: string, reason: string): RingloadError {
  return new RingloadError('config_invalid', `failpoint ${JSON.stringify(text)}: ${reason}`);
}

/** @param setting of the environment variable; nothing is armed without one. */
export function armFailpoints(setting: string | undefined, logger: Logger): void {
  if (setting === undefined) return;
  logger.warn('failpoints are armed: this peer is for tests only', { setting });
  setFailpointHook(
    setting.startsWith('@') ? fromFile(setting.slice(1)) : fromOrders(parseFailpoints(setting)),
  );
}

/** The hook, and what it notes. */
function fromOrders(
  orders: readonly FailpointOrder[],
  note: (line: string) => void = () => undefined,
): FailpointHook {
  const counts = new Map<Failpoint, number>();
  return (name) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    note(name);
    const order = orders.find((each) => each.name === name && (each.nth ?? count) === count);
    if (!order) return undefined;
    note(`${name} ${order.action}@${count}`);
    return act(order);
  };
}

function fromFile(path: string): FailpointHook {
  const note = (line: string): void => {
    appendFileSync(`${path}.hits`, `${line}\n`);
  };
  let text: string | undefined;
  let hook: FailpointHook = () => undefined;
  return (name) => {
    const now = readFileSync(path, 'utf8');
    if (now !== text) {
      text = now;
      note(`= ${now.replaceAll('\n', ';')}`);
      hook = fromOrders(parseFailpoints(now), note);
    }
    return hook(name);
  };
}

function act({ name, action, ms }: FailpointOrder): Promise<void> | undefined {
  switch (action) {
    case 'kill':
      if (ms > 0) return delay(ms).then(die);
      die();
      return undefined;
    case 'pause':
      return delay(ms);
    case 'block':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      return undefined;
    case 'throw':
      throw new Error(`failpoint ${name}`);
  }
}

/** As a crash: nothing is flushed, closed or said. */
function die(): void {
  process.kill(process.pid, 'SIGKILL');
}
