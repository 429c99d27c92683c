import test from 'ava';
import { type ErrorCode, RingloadError } from '../../../src/base/errors.ts';
import {
  mayHaveArrived,
  pauseMs,
  roundsMax,
  summaryOf,
  tellingFailure,
} from '../../../src/cli/client/fail-over.ts';

const failure = (code: ErrorCode, details: Record<string, string | number> = {}): RingloadError =>
  new RingloadError(code, `told ${code}`, { details });

const failures = (...errors: RingloadError[]) =>
  new Map(errors.map((error, index) => [`http://h${index}:1`, error]));

test('roundsMax: elections are waited out, dead clusters are not', (t) => {
  t.is(roundsMax(failures(failure('no_leader'))), Number.POSITIVE_INFINITY);
  t.is(roundsMax(failures(failure('peer_unreachable'), failure('overloaded'))), Infinity);
  t.is(roundsMax(failures(failure('peer_unreachable'), failure('peer_unreachable'))), 4);
  t.is(roundsMax(failures(failure('peer_unreachable'), failure('ufs_unavailable'))), 2);
});

test('pauseMs: grows, is bounded, and honours what a peer asks for, within reason', (t) => {
  const none = failures(failure('no_leader'));
  for (let round = 1; round < 40; round++) {
    const ceiling = Math.min(2_000, 200 * 2 ** (round - 1));
    const pause = pauseMs(round, none);
    t.true(pause >= ceiling / 2 && pause <= ceiling, `${round}: ${pause}`);
  }
  t.is(pauseMs(1, failures(failure('no_leader', { retryAfterMs: 3_000 }))), 3_000);
  t.is(pauseMs(1, failures(failure('no_leader', { retryAfterMs: 86_400_000 }))), 5_000);
});

test('mayHaveArrived: only what was never delivered is known not to have been done', (t) => {
  t.false(mayHaveArrived(failure('peer_unreachable', { systemCode: 'ECONNREFUSED' })));
  t.false(mayHaveArrived(failure('no_leader')));
  t.true(mayHaveArrived(failure('peer_unreachable', { systemCode: 'ECONNRESET' })));
  t.true(mayHaveArrived(failure('deadline_exceeded')));
});

test('summaryOf: what a peer said goes before what could not be reached', (t) => {
  const said = failure('overloaded', { httpStatus: 429 });
  t.is(tellingFailure(failures(failure('peer_unreachable'), said)), said);
  t.is(summaryOf(failures(failure('peer_unreachable'), said), 1), said);
  t.is(summaryOf(new Map(), 5).message, 'no peer answered within 5 ms');
  const many = failures(...Array.from({ length: 7 }, () => failure('peer_unreachable')));
  t.regex(summaryOf(many, 1).message, /h4:1: told peer_unreachable; and 2 more\)$/);
});
