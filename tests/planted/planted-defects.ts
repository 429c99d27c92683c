/**
 * Defects that are planted into the product, one at a time, to see whether the suites find them.
 *
 * Each replaces one place of a source file that has to be there exactly once, so that the table
 * cannot outlive the code that it breaks. `breaks` names the promise: S and L as in
 * docs/RELIABILITY.md.
 */
export interface PlantedDefect {
  readonly name: string;
  readonly breaks: string;
  /** Below `src/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Compiled tests below `tests/` of which one has to fail. */
  readonly tests: readonly string[];
}

export const PLANTED_DEFECTS: readonly PlantedDefect[] = [
  {
    name: 'raft: an entry is acknowledged before it is synced',
    breaks: 'S4 S5',
    file: 'raft/wal-log-storage.ts',
    find: '    await this.#segment.file.sync();\n    this.#recordCount++;',
    replace: '    this.#recordCount++;',
    tests: ['raft/wal-log-storage.test.js', 'sim/raft/raft-sim.test.js'],
  },
  {
    name: 'raft: a change of term or vote waits for the next entry',
    breaks: 'S5',
    file: 'raft/driver.ts',
    find: '} else if (ready.hardState || entries.length > 0) {',
    replace: '} else if (entries.length > 0) {',
    tests: ['sim/raft/raft-sim.test.js'],
  },
  {
    name: 'cluster: a submit of a running path starts a second job',
    breaks: 'S4',
    file: 'cluster/apply-job.ts',
    find: 'state.jobs.get(command.jobId) ?? newestJobOf(state, command.spec.path)',
    replace: 'state.jobs.get(command.jobId)',
    tests: ['cluster/apply-job.test.js'],
  },
  {
    name: 'cluster: a verdict about an earlier start of a process counts',
    breaks: 'S3',
    file: 'cluster/apply-member.ts',
    find: '!judgeable || known.generation !== command.generation',
    replace: '!judgeable',
    tests: ['cluster/apply-member.test.js'],
  },
  {
    name: 'owner: orders of a deposed leader are taken',
    breaks: 'S4',
    file: 'job/executor.ts',
    find: 'term < Math.max(this.#options.currentTerm(), known?.pass.term ?? 0) ||',
    replace: 'false ||',
    tests: ['job/executor.test.js'],
  },
  {
    name: 'owner: a segment is acknowledged before it is stored',
    breaks: 'S3 S7',
    file: 'data/segment-loader.ts',
    find: 'await reservation.commit(filled);',
    replace: 'void reservation.commit(filled).catch(() => undefined);',
    tests: ['data/segment-loader.test.js', 'job/executor.test.js'],
  },
  {
    name: 'owner: what is acknowledged is not leased',
    breaks: 'S3',
    file: 'job/executor.ts',
    find: 'if (this.#options.store.lease(key, leaseOf(order.pass))) return outcome.segment;',
    replace: 'return outcome.segment;',
    tests: ['job/executor.test.js', 'sim/job/job-sim.test.js'],
  },
  {
    name: 'repair: segments of a version that is not in force are copied',
    breaks: 'S7',
    file: 'repair/repair-page.ts',
    find: '        if (this.#outdated.has(record.path)) continue;\n',
    replace: '',
    tests: ['repair/repairer.test.js'],
  },
  {
    name: 'leader: a retry is counted twice',
    breaks: 'S3',
    file: 'job/pass-account.ts',
    find: '(counted.retriedTaskCount += 1)',
    replace: '(counted.retriedTaskCount += 2)',
    tests: ['job/job-run.test.js'],
  },
  {
    name: 'leader: a repeated acknowledgement is counted again',
    breaks: 'S3',
    file: 'job/pass-account.ts',
    find: '    if (unit.acknowledged.has(owner)) return false;\n',
    replace: '',
    tests: ['job/job-run.test.js', 'job/job-run.property.test.js'],
  },
  {
    name: 'leader: a checkpoint claims files that are not settled',
    breaks: 'S3',
    file: 'job/file-run.ts',
    find: '    this.#files.push(file);\n',
    replace: '    this.#files.push(file);\n    this.cursor = file.object.path;\n',
    tests: ['job/job-run.test.js', 'job/job-run.property.test.js'],
  },
  {
    name: 'leader: the verdict does not wait for the inventories',
    breaks: 'S3',
    file: 'job/job-run.ts',
    find: 'if (round.isDone) this.#succeedOrFail(round);',
    replace: 'this.#succeedOrFail(round);',
    tests: ['job/job-run.test.js', 'job/job-run.property.test.js'],
  },
  {
    name: 'leader: an inventory that differs is taken for equal',
    breaks: 'S3',
    file: 'job/inventory-round.ts',
    find: 'if (segmentCount !== expected.segmentCount || digest !== expected.digest) return expected;',
    replace: 'if (segmentCount !== expected.segmentCount) return expected;',
    tests: ['job/job-run.test.js', 'job/job-run.property.test.js'],
  },
  {
    name: 'leader: a pass that saw the ring change proves replicas all the same',
    breaks: 'S3',
    file: 'job/job-run.ts',
    find: '        this.#placement = event.placement;\n',
    replace:
      '        this.#placement = event.placement;\n        this.#passEpoch = event.placement.epoch;\n',
    tests: ['job/job-run.test.js', 'job/job-run.property.test.js'],
  },
  {
    name: 'leader: a changed object of the same size is taken for the old one',
    breaks: 'S1 S3',
    file: 'job/pass.ts',
    find: 'return a.version === b.version && a.sizeBytes === b.sizeBytes;',
    replace: 'return a.sizeBytes === b.sizeBytes;',
    tests: ['job/job-run.test.js'],
  },
  {
    name: 'leader: a job that was stopped is driven on',
    breaks: 'S6',
    file: 'job/coordinator.ts',
    find: '      if (record && isActiveState(record.state) && record.run === driver.run) continue;\n',
    replace: '      if (record) continue;\n',
    tests: ['job/coordinator.test.js', 'sim/job/job-sim.test.js'],
  },
  {
    name: 'cache: a leased segment is evicted',
    breaks: 'S3 S7',
    file: 'cache/io/room-maker.ts',
    find: 'table.index.isLive(id) && table.isLeased(id)',
    replace: 'table.index.isLive(id) && table.isLeased(id) && false',
    tests: ['cache/io/file-segment-store.test.js', 'cache/io/segment-store-model.test.js'],
  },
  {
    name: 'cache: blocks are served unchecked',
    breaks: 'S8',
    file: 'cache/io/segment-blocks.ts',
    find: 'if (crc32c(bytes.subarray(at, at + CHECKSUM_BLOCK_BYTES)) !== expected) return undefined;',
    replace: 'if (expected === undefined) return undefined;',
    tests: ['cache/io/file-segment-store.test.js', 'cache/io/segment-store-model.test.js'],
  },
  {
    name: 'cache: the identity of a segment leaves its version out',
    breaks: 'S1 S3',
    file: 'cache/digest.ts',
    find: '    .update(version)\n',
    replace: '',
    tests: ['cache/digest.test.js'],
  },
  {
    name: 'cache: each request for a segment starts a fill of its own',
    breaks: 'L2',
    file: 'cache/single-flight.ts',
    find: 'this.#flights.get(key) ?? this.#start(key, work)',
    replace: 'this.#start(key, work)',
    tests: ['cache/single-flight.test.js', 'data/segment-loader.test.js'],
  },
  {
    name: 'under store: another version than the pinned one is accepted (a 412 ignored)',
    breaks: 'S1',
    file: 'ufs/io/s3-body.ts',
    find: "if (version === 'other') {",
    replace: "if (version === 'none') {",
    tests: ['ufs/io/s3-read-faults.test.js'],
  },
  {
    name: 'under store: a range is asked for without its version',
    breaks: 'S1',
    file: 'ufs/io/s3-under-store.ts',
    find: '{ ...targetOf(request.path), ...conditionOf(request.version) }',
    replace: 'targetOf(request.path)',
    tests: ['ufs/io/s3-read-faults.test.js'],
  },
  {
    name: 'under store: another range than the one asked for is accepted',
    breaks: 'S1',
    file: 'ufs/io/s3-body.ts',
    find: 'if (output.ContentRange !== expected) {',
    replace: 'if (output.ContentRange === undefined) {',
    tests: ['ufs/io/s3-read-faults.test.js'],
  },
  {
    name: 'under store: a body that ends early is whole',
    breaks: 'S2',
    file: 'ufs/io/s3-under-store.ts',
    find: '      if (!last) throw cutBody(progress);\n',
    replace: '      if (!last) return;\n',
    tests: ['ufs/io/s3-read-faults.test.js'],
  },
  {
    name: 'under store: a mount lets in what only begins like it',
    breaks: 'S9',
    file: 'ufs/mounts.ts',
    find: 'isAtOrBelow(mounted.path, path)',
    replace: 'path.startsWith(mounted.path)',
    tests: ['ufs/mounts.test.js'],
  },
  {
    name: 'job: a filter keeps what merely contains a match',
    breaks: 'S3',
    file: 'job/file-filter.ts',
    find: 'program.testExact(lastComponent(path))',
    replace: 'program.test(lastComponent(path))',
    tests: ['job/file-filter.test.js'],
  },
  {
    name: 'logs: a secret by name is written',
    breaks: 'S9',
    file: 'obs/redact.ts',
    find: 'SECRET_NAME.test(name) && !PLACE_NAME.test(name)',
    replace: 'name === SECRET_NAME.source',
    tests: ['obs/redact.test.js'],
  },
  {
    name: 'links: a proof made for one direction is taken for the other',
    breaks: 'S9',
    file: 'peer/proof.ts',
    find: "return hmac(secret, 'acceptor', transcript, acceptor)",
    replace: "return hmac(secret, 'dialler', transcript)",
    tests: ['peer/proof.test.js', 'peer/handshake.test.js'],
  },
];
