/** The table and the closing line of a benchmark, with what one needs to judge them. */
import { cpus, loadavg, release, totalmem } from 'node:os';
import { type Comparison, type Sample, cpuPerUnit, median, rateOf } from './pairs.ts';

const COLUMNS = [
  ...['', 'MB/s', 'objects/s', 'CPU-s/GB', 'CPU us/object', 'peak MB'],
  ...['seconds (median, min, max)', 'first / this'],
];

/** With `json`, one document in place of the table; the closing line stays the last line. */
export function printReport(
  name: string,
  comparison: Comparison,
  notes: readonly string[],
  { json = false }: { readonly json?: boolean } = {},
): void {
  if (json) {
    console.log(JSON.stringify(documentOf(name, comparison, notes), undefined, 2));
    console.log(closingLine(name, comparison));
    return;
  }
  const rows = [...comparison.samples].map(([contender, samples]) => [
    contender.name,
    ...figures(samples),
    ratioTo(samples, comparison),
  ]);
  console.log(`\n${name}\n`);
  printTable([COLUMNS, ...rows]);
  console.log(`\n${[hostLine(), ...notes].join('\n')}`);
  console.log(closingLine(name, comparison));
}

/** `name ratio=… cpu_ratio=… limit=…`: what scripts read. */
export function closingLine(name: string, { ratio, cpuRatio, limitRatio }: Comparison): string {
  const limit = limitRatio === undefined ? 'none' : limitRatio.toFixed(3);
  return `${name} ratio=${ratio.toFixed(3)} cpu_ratio=${cpuRatio.toFixed(3)} limit=${limit}`;
}

/** Rate of the subject, which is the first, over the rate of these samples, round by round. */
function ratioTo(samples: readonly Sample[], comparison: Comparison): string {
  const [subject = []] = comparison.samples.values();
  const ratios = subject.map((own, index) => rateOf(own) / rateOf(samples[index] ?? own));
  return median(ratios).toFixed(2);
}

function documentOf(name: string, comparison: Comparison, notes: readonly string[]): unknown {
  const { ratio, cpuRatio, limitRatio, samples } = comparison;
  return {
    name,
    host: hostLine(),
    notes,
    ratio,
    cpuRatio,
    limitRatio,
    contenders: [...samples].map(([contender, runs]) => ({ name: contender.name, runs })),
  };
}

function figures(samples: readonly Sample[]): string[] {
  const middle = (figure: (sample: Sample) => number): number => median(samples.map(figure));
  const seconds = samples.map((sample) => sample.seconds);
  const hasBytes = samples.some(({ bytes }) => bytes > 0);
  const peak = middle((sample) => sample.peakBytes);
  return [
    hasBytes ? middle((sample) => sample.bytes / sample.seconds / 1e6).toFixed(0) : '-',
    middle((sample) => sample.objects / sample.seconds).toFixed(0),
    hasBytes ? (1e9 * middle(cpuPerUnit)).toFixed(2) : '-',
    (1e6 * middle((sample) => sample.cpuSeconds / sample.objects)).toFixed(0),
    peak > 0 ? (peak / 1e6).toFixed(0) : '-',
    [median(seconds), Math.min(...seconds), Math.max(...seconds)]
      .map((value) => value.toFixed(2))
      .join(', '),
  ];
}

/** First column to the left, figures to the right. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  for (const row of rows) {
    const cells = widths.map((width, column) => {
      const cell = row[column] ?? '';
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    console.log(cells.join('  ').trimEnd());
  }
}

/** The machine, and how busy it is just now. */
export function hostLine(): string {
  const [first] = cpus();
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
  return `${cpus().length} × ${first?.model ?? 'unknown CPU'}, ${memory} GiB, Linux ${release()}, Node ${process.version}, load average ${load}`;
}
