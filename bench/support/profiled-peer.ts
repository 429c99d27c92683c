/** The command line under the CPU profiler: writes a .cpuprofile to $BENCH_PROFILE_FOLDER at exit. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.start');
process.once('exit', () => {
  session.post('Profiler.stop', (error, result) => {
    const folder = process.env['BENCH_PROFILE_FOLDER'] ?? '.';
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `peer-${process.pid}.cpuprofile`);
    if (error === null) writeFileSync(file, JSON.stringify(result.profile));
  });
});
await import(pathToFileURL(join(import.meta.dirname, '../../../dist/cli/main.js')).href);
