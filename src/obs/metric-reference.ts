/** The reference page of the metrics, made from their table. Pure: text out, nothing written. */
import { METRIC_PREFIX, METRIC_TABLE, type MetricName, metricRow } from './metric-table.ts';

export function metricsPage(): string {
  const rows = (Object.keys(METRIC_TABLE) as MetricName[]).map((name) => {
    const { type, help, labels = {} } = metricRow(name);
    const shown = Object.entries(labels).map(([label, values]) => `\`${label}\`: ${values}`);
    return `| \`${METRIC_PREFIX}${name}\` | ${type} | ${shown.join('; ')} | ${help} |`;
  });
  return [
    '# Metrics',
    '',
    '<!-- Generated from the source; `node build/tests/docs/write.js` writes it anew. -->',
    '',
    'Each peer exposes its own metrics at `/metrics` in the Prometheus text format. Labels come from closed sets: no path, key or id ever becomes one.',
    '',
    '| metric | type | labels | meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
