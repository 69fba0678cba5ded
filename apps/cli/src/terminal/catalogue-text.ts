import type {
  CatalogueFeature,
  ExplainValueResponse,
  Lineage,
  SearchFeaturesResponse,
  StoredRow,
  Usage,
  ValueOrigin,
} from '@headrace/contracts/features/v1/catalogue';
import { formatTable } from './table.js';

export function printFound({ features, services, featuresFound, servicesFound, modelsKnown }: SearchFeaturesResponse): string {
  const lines = [
    formatTable(
      ['feature', 'type', 'owner', 'tags', 'from', 'read by', 'online reads', 'training sets', 'such as'],
      features.map((feature) => [
        ...[feature.reference, feature.type, feature.owner, feature.tags.join(','), feature.madeFrom.join(' ')],
        ...[feature.readBy.join(', '), ...reads(feature.usage), examples(feature)],
      ]),
    ),
  ];
  if (services.length > 0)
    lines.push(
      '',
      formatTable(
        ['feature service', 'owner', 'tags', 'features', 'online reads', 'training sets'],
        services.map(({ name, owner, tags, references, usage }) => [name, owner, tags.join(','), references.length, ...reads(usage)]),
      ),
    );
  if (featuresFound > features.length) lines.push(`${featuresFound} features fit; --limit shows more`);
  if (servicesFound > services.length) lines.push(`${servicesFound} feature services fit; --limit shows more`);
  if (!modelsKnown) lines.push('the registry does not answer, so no models are named');
  return lines.join('\n');
}

function reads(usage: Usage | undefined): number[] {
  return [usage?.onlineReads ?? 0, usage?.trainingSets ?? 0];
}

function examples({ pii, samples }: CatalogueFeature): string {
  return pii ? '(personal)' : samples.slice(0, 3).join(' ').slice(0, 60);
}

/** One line for each edge, in the order of the way. */
export function printLineage({ nodes, edges, modelsKnown }: Lineage): string {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const called = (id: string): string => {
    const { name, state } = known.get(id)!;
    const short = id.replace(name, name.length === 64 ? name.slice(0, 12) : name);
    return state ? `${short} (${state})` : short;
  };
  const table = formatTable(
    ['from', 'to', 'what'],
    edges.map(({ from, to, features, readVersion }) => [
      called(from),
      called(to),
      features.length > 0 ? features.join(' ') : readVersion > 0 ? `version ${readVersion}` : '',
    ]),
  );
  return modelsKnown ? table : `${table}\nthe registry does not answer, so no models are named`;
}

export function printExplanation({ feature, at, value, personal, reason, origins }: ExplainValueResponse): string {
  const lines = [`${feature} at ${at!.toISOString()}: ${personal ? '(personal)' : JSON.stringify(value ?? null)}`, reason];
  for (const origin of origins) {
    if (origin.reason !== reason) lines.push('', origin.reason);
    lines.push(...originLines(origin));
  }
  return lines.join('\n');
}

function originLines({ row, personal, lost, window, served }: ValueOrigin): string[] {
  const show = (one: StoredRow): (string | number)[] => [
    one.eventTime!.toISOString(),
    arrivalText(one.firstArrivalUs),
    arrivalText(one.lastArrivalUs),
    personal ? '(personal)' : JSON.stringify(one.value ?? null),
  ];
  const rows = [
    ...(row && lost.every(({ code }) => code !== 'too_old') ? [[...show(row), 'counts']] : []),
    ...(window?.newestRows ?? []).map((one) => [...show(one), 'is in the window']),
    ...lost.map((one) => [...show(one.row!), one.reason]),
  ];
  const lines = rows.length > 0 ? [formatTable(['event time', 'arrived first', 'arrived last', 'value', ''], rows)] : [];
  if (window && window.tiles.length > 0) {
    const tiles = window.tiles.slice(0, TILES_SHOWN).map(({ from, rows: count }) => `${from!.toISOString()}: ${count}`);
    lines.push(`rows by steps of ${window.hopMs} ms: ${tiles.join(', ')}${window.tiles.length > TILES_SHOWN ? ', ...' : ''}`);
  }
  if (served && !served.agrees)
    lines.push(
      `the online store gives ${personal ? 'another value' : JSON.stringify(served.value ?? null)} instead: see \`headrace feature-health\``,
    );
  return lines;
}

const TILES_SHOWN = 12;

function arrivalText(us: number): string {
  return new Date(Math.floor(us / 1000)).toISOString().replace('Z', `${String(us % 1000).padStart(3, '0')}Z`);
}
