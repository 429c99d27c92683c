/**
 * Temporary credentials in the life of a mount: they expire, rotate, cannot be had, and a clock is
 * wrong. The process's environment is this file's own, since each runs in a thread of its own.
 */
import test, { type ExecutionContext } from 'ava';

import type { SampleRequest } from '../../../src/sample/s3-request.ts';
import type { UfsLimits } from '../../../src/ufs/mounts.ts';
import { RetryBudget } from '../../../src/ufs/retry.ts';
import { CredentialEndpoint } from '../../support/credential-endpoints.ts';
import type { FaultRule } from '../../support/faulty-origin.ts';
import { failureOf, PATIENT_LIMITS, S3Fixture } from '../../support/s3-fixture.ts';
import { waitFor } from '../../support/wait-for.ts';

const KEY = 'k';
const SIZE = 1_000;

test.before(() => {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name);
  }
  process.env['AWS_CONFIG_FILE'] = '/dev/null';
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = '/dev/null';
  process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
});

interface World extends AsyncDisposable {
  readonly endpoint: CredentialEndpoint;
  readonly fixture: S3Fixture;
  /** Reads the object and compares it. */
  read(t: ExecutionContext): Promise<void>;
}

/** A mount on the standard chain; the origin takes only the credentials that are valid now. */
async function openWorld(
  t: ExecutionContext,
  kind: 'container' | 'machine',
  limits: UfsLimits = PATIENT_LIMITS,
): Promise<World> {
  const endpoint = await CredentialEndpoint.start();
  const fixture = await S3Fixture.open({ [KEY]: SIZE }, { credentials: undefined, limits });
  const settings = endpoint.environment(kind);
  Object.assign(process.env, settings);
  t.teardown(() => {
    for (const name of Object.keys(settings)) Reflect.deleteProperty(process.env, name);
    process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
  });
  fixture.origin.script(onlyNow(endpoint));
  return {
    endpoint,
    fixture,
    read: async (context) => {
      const object = await fixture.stat(KEY);
      const bytes = await fixture.read(object);
      context.true(bytes.equals(fixture.origin.expectedBytes(KEY)));
    },
    [Symbol.asyncDispose]: async () => {
      await fixture[Symbol.asyncDispose]();
      await endpoint[Symbol.asyncDispose]();
    },
  };
}

/** As S3 answers to credentials that were valid once. */
function onlyNow(endpoint: CredentialEndpoint): FaultRule {
  return {
    when: ({ headers }) => !(headers.authorization ?? '').includes(`Credential=${endpoint.keyId}/`),
    action: { kind: 'status', status: 400, code: 'ExpiredToken' },
  };
}

for (const kind of ['container', 'machine'] as const) {
  test.serial(
    `s3 credentials: those of a ${kind} rotate under many reads, none fails`,
    async (t) => {
      await using world = await openWorld(t, kind);
      await world.read(t);
      t.is(world.endpoint.handedOutCount, 1, 'asked once, not with every request');
      world.endpoint.rotate();
      await Promise.all(Array.from({ length: 20 }, () => world.read(t)));
      t.is(world.endpoint.handedOutCount, 2);
    },
  );

  test.serial(
    `s3 credentials: those of a ${kind} are asked for anew before they expire`,
    async (t) => {
      await using world = await openWorld(t, kind);
      // So soon that the chain asks again; until then the store takes both.
      world.endpoint.lifetimeMs = 60_000;
      await world.read(t);
      world.fixture.origin.script();
      world.endpoint.rotate();
      await waitFor(
        async () => {
          await world.read(t);
          const { headers } = world.fixture.origin.requests.at(-1) ?? {};
          return headers?.authorization?.includes(world.endpoint.keyId);
        },
        { what: 'a request under the new credentials', deadlineMs: 20_000 },
      );
      world.fixture.origin.script(onlyNow(world.endpoint));
      const before = world.fixture.origin.requests.length;
      await world.read(t);
      t.is(world.fixture.origin.requests.length - before, 2, 'nothing was refused');
    },
  );

  for (const mood of ['dead', 'mute'] as const) {
    test.serial(
      `s3 credentials: a ${mood} endpoint of a ${kind} is named, and used once it is well`,
      async (t) => {
        t.timeout(60_000);
        // The source is waited for half as long: a second.
        await using world = await openWorld(t, kind, {
          ...PATIENT_LIMITS,
          requestTimeoutMs: 2_000,
        });
        world.endpoint.mood = mood;
        const error = await failureOf(world.fixture.stat(KEY));
        t.is(error.code, 'ufs_credentials', error.message);
        t.regex(
          error.message,
          /no credentials could be loaded|source of credentials did not answer/,
        );
        t.is(world.fixture.origin.requests.length, 0);
        world.endpoint.mood = 'well';
        const isRead = async (): Promise<true> => {
          await world.read(t);
          return true;
        };
        await waitFor(isRead, { what: 'a read', deadlineMs: 40_000 });
      },
    );
  }
}

test.serial('s3 credentials: nothing anywhere is told as that', async (t) => {
  await using fixture = await S3Fixture.open({ [KEY]: SIZE }, { credentials: undefined });
  const error = await failureOf(fixture.stat(KEY));
  t.is(error.code, 'ufs_credentials');
  t.is(fixture.origin.requests.length, 0);
});

const SKEW_MS = 20 * 60_000;
const TOLERATED_MS = 15 * 60_000;

/** Milliseconds of `x-amz-date`: `20261129T191030Z`. */
function signedAtMs({ headers }: SampleRequest): number {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(
    String(headers['x-amz-date']),
  ) ?? ['', 'NaN'];
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = parts.map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** The store lives by another clock: it refuses signatures by ours, and tells its own time. */
function liveBy(origin: S3Fixture['origin'], skewMs: number): void {
  const storeMs = (): number => Date.now() + skewMs;
  const date = new Date(storeMs()).toUTCString();
  origin.script(
    {
      when: (request) => Math.abs(signedAtMs(request) - storeMs()) > TOLERATED_MS,
      action: { kind: 'status', status: 403, code: 'RequestTimeTooSkewed', headers: { date } },
    },
    { action: { kind: 'headers', set: { date } } },
  );
}

for (const skewMs of [SKEW_MS, -SKEW_MS]) {
  test.serial(
    `s3 credentials: a clock that is ${skewMs / 60_000} minutes off is put right by the store's answer`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE });
      const { origin } = fixture;
      liveBy(origin, skewMs);
      const object = await fixture.stat(KEY);
      t.true((await fixture.read(object)).equals(origin.expectedBytes(KEY)));
      const signed = origin.requests.map((request) => signedAtMs(request) - Date.now() - skewMs);
      t.true(Math.abs(signed[0] ?? 0) > TOLERATED_MS, 'the first signature was refused');
      t.true(Math.abs(signed.at(-1) ?? Infinity) < TOLERATED_MS);
    },
  );
}

for (const way of ['stream', 'lanes'] as const) {
  const over = way === 'lanes' ? ' over lanes' : '';

  test.serial(
    `s3 credentials: a clock that jumps between two reads${over} is put right`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const { origin } = fixture;
      const object = await fixture.stat(KEY);
      for (const skewMs of [SKEW_MS, -SKEW_MS]) {
        const countBefore = origin.countOf('get');
        liveBy(origin, skewMs);
        t.true((await fixture.read(object)).equals(origin.expectedBytes(KEY)));
        t.is(origin.countOf('get') - countBefore, 2, 'one was refused, the next was not');
      }
      t.is(fixture.lanes?.fallbackCount ?? 0, 0);
    },
  );

  test.serial(
    `s3 credentials: what a jumping clock costs${over} is not taken from the retries of failures`,
    async (t) => {
      await using fixture = await S3Fixture.open({ [KEY]: SIZE }, {}, { way });
      const { origin } = fixture;
      const object = await fixture.stat(KEY);
      const jumpCount = RetryBudget.CAPACITY + 8;
      for (let jump = 0; jump < jumpCount; jump++) {
        liveBy(origin, jump % 2 === 0 ? SKEW_MS : -SKEW_MS);
        t.true((await fixture.read(object)).equals(origin.expectedBytes(KEY)), `jump ${jump}`);
      }
      t.is(origin.countOf('get'), 2 * jumpCount);
    },
  );
}
