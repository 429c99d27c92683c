import test from 'ava';
import type { Flags } from '../../src/config/flag-source.ts';
import { load, refused } from './support.ts';

/** Each rule at its edge: flags that are just refused, the option named, flags just accepted. */
const EDGES: readonly [key: string, bad: Flags, good: Flags][] = [
  [
    'raft.electionTicks',
    { raftElectionTicks: '4', raftHeartbeatTicks: '4' },
    { raftElectionTicks: '5', raftHeartbeatTicks: '4' },
  ],
  ['raft.maxVoters', { raftMaxVoters: '4' }, { raftMaxVoters: '3' }],
  [
    'liveness.linkTimeoutMs',
    { livenessPingIntervalMs: '2500' },
    { livenessPingIntervalMs: '2499' },
  ],
  ['liveness.suspectAfterMs', { livenessSuspectAfterMs: '500' }, { livenessSuspectAfterMs: '501' }],
  ['liveness.downAfterMs', { livenessDownAfterMs: '3s' }, { livenessDownAfterMs: '3001' }],
  [
    'cache.regionSizeBytes',
    { loadSegmentSizeBytes: '131073', cacheRegionSizeBytes: '135167' },
    { loadSegmentSizeBytes: '131073', cacheRegionSizeBytes: '135168' },
  ],
  [
    'cache.directories',
    { cacheDir: '/a=127MiB', cacheRegionSizeBytes: '16MiB' },
    { cacheDir: '/a=128MiB', cacheRegionSizeBytes: '16MiB' },
  ],
  ['cache.directories', { cacheDir: '/a=511MiB' }, { cacheDir: '/a=512MiB' }],
  [
    'cache.directories',
    { cacheDir: ['/a=1GiB', '/a/=1GiB'] },
    { cacheDir: ['/a=1GiB', '/b=1GiB'] },
  ],
  ['load.windowBytes', { loadWindowBytes: '8191KiB' }, { loadWindowBytes: '8MiB' }],
  ['load.windowTasks', { loadWindowTasks: '199' }, { loadWindowTasks: '200' }],
  ['load.retryDelayMaxMs', { loadRetryDelayMaxMs: '499' }, { loadRetryDelayMaxMs: '500' }],
  ['ufs.retryDelayMaxMs', { ufsRetryDelayMaxMs: '99' }, { ufsRetryDelayMaxMs: '100' }],
  ['ufs.requestTimeoutMs', { ufsRequestTimeoutMs: '2999' }, { ufsRequestTimeoutMs: '3s' }],
  ['http.requestTimeoutMs', { httpRequestTimeoutMs: '9999' }, { httpRequestTimeoutMs: '10s' }],
];

for (const [key, bad, good] of EDGES) {
  const title = JSON.stringify(bad);
  test(`relations: ${key} is refused with ${title} and fine one step further`, async (t) => {
    const message = await refused(t, { flags: bad });
    t.true(message.startsWith(`${key} `));
    await t.notThrowsAsync(load(t, { flags: good }));
  });
}

test('relations: the message tells both values and where the first was written', async (t) => {
  const message = await refused(t, { yaml: 'raft:\n  electionTicks: 2\n  heartbeatTicks: 3\n' });
  t.regex(
    message,
    /^raft\.electionTicks is 2, has to be more than raft\.heartbeatTicks, which is 3 \(.*line 2\)$/,
  );
});
