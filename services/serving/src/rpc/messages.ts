import type { TensorInfo } from '@headrace/executor/tensor';
import type { InputColumn, Route, VersionDescription as DescriptionMessage } from '@headrace/contracts/serving/v1/serving';
import { parseGoldenRows } from '@headrace/executor/golden-rows';
import type { LogRules } from '../domain/log-rules.js';
import type { RoutePolicy } from '../domain/route-policy.js';
import type { ModelRoutes, RoutedVersion } from '../domain/routing-table.js';
import { nameOf, type VersionDescription } from '../domain/version-description.js';

/** Example rows in a description; enough to try a model by hand. */
const EXAMPLES_MAX = 10;

/** What is no number or name is refused by checkPolicy. */
export function policyOf({ traffic, shadow }: Route): RoutePolicy {
  return { traffic: trafficOf(traffic), shadow: shadow && { version: shadow.version, percent: shadow.percent } };
}

export function routeMessage(project: string, model: string, { policy, champion, versions }: ModelRoutes<RoutedVersion>): Route {
  const { traffic, shadow } = policy;
  return {
    project,
    model,
    traffic:
      traffic.kind === 'canary'
        ? { $case: 'canary', value: { version: traffic.version, percent: traffic.percent, salt: traffic.salt } }
        : traffic.kind === 'split'
          ? { $case: 'split', value: { arms: traffic.arms.map((arm) => ({ ...arm })), salt: traffic.salt } }
          : undefined,
    shadow: shadow && { ...shadow },
    champion: champion?.version ?? 0,
    loaded: [...versions.keys()],
  };
}

function trafficOf(traffic: Route['traffic']): RoutePolicy['traffic'] {
  switch (traffic?.$case) {
    case undefined:
      return { kind: 'champion' };
    case 'canary':
      return { kind: 'canary', version: traffic.value.version, percent: traffic.value.percent, salt: traffic.value.salt };
    case 'split': {
      const arms = traffic.value.arms.map(({ name, version, weight }) => ({ name, version, weight }));
      return { kind: 'split', arms, salt: traffic.value.salt };
    }
  }
}

export function descriptionMessage(
  description: VersionDescription,
  outputs: readonly TensorInfo[],
  logRules: LogRules | undefined,
): DescriptionMessage {
  const { project, model, version, signature, golden } = description;
  return {
    project,
    model,
    version,
    inputs: signature.features.map(columnMessage),
    protectedAttributes: signature.protectedFeatures.map(columnMessage),
    entityKeys: signature.entityKeys,
    threshold: signature.threshold,
    // A version without features has none.
    examples: (signature.features.length > 0 ? parseGoldenRows(golden, nameOf(description)) : [])
      .slice(0, EXAMPLES_MAX)
      .map(({ features, label, score }) => ({ features, label, score })),
    outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] })),
    log: {
      sampleRate: logRules?.sampleRate,
      redacted: Object.fromEntries([...(logRules?.redacted ?? [])].map(([column, { kind }]) => [column, kind])),
      entity: logRules?.entity?.kind ?? '',
    },
  };
}

function columnMessage({ name, type, reference }: InputColumn): InputColumn {
  return { name, type, reference };
}
