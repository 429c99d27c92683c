/** The generated pages: where each lies in the repository, and what it has to hold. */
import { configurationPage, errorsPage } from '../../src/config/reference.ts';
import { metricsPage } from '../../src/obs/metric-reference.ts';
import { plantedDefectsPage } from '../planted/planted-page.ts';

export interface GeneratedDocument {
  readonly name: string;
  readonly url: URL;
  readonly content: string;
}

const DOCS = new URL('../../../docs/', import.meta.url);

export function generatedDocuments(): GeneratedDocument[] {
  const pages = {
    'CONFIGURATION.md': configurationPage(),
    'ERRORS.md': errorsPage(),
    'METRICS.md': metricsPage(),
    'PLANTED_DEFECTS.md': plantedDefectsPage(),
  };
  return Object.entries(pages).map(([name, content]) => ({
    name,
    url: new URL(name, DOCS),
    content,
  }));
}
