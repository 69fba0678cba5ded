import { messageOf } from '@headrace/base/errors';
import type { Log } from '@headrace/platform/log';
import type { RegisteredModel } from '../io/registry.js';
import { referencesOf, type ModelHost } from './model-host.js';

export interface PersonalDoor {
  /** Those of these references whose values are personal. */
  personal(project: string, references: readonly string[]): Promise<readonly string[]>;
}

/** Keeps what may be logged of versions that are loaded at what the registry and the feature store say: both may change under them. */
export class LogRulesFollower {
  readonly #host: ModelHost;
  readonly #features: PersonalDoor;
  readonly #log: Pick<Log, 'warn'>;

  constructor(host: ModelHost, features: PersonalDoor, log: Pick<Log, 'warn'>) {
    this.#host = host;
    this.#features = features;
    this.#log = log;
  }

  /** @param models those of the project whose policies are known now */
  async follow(project: string, models: readonly RegisteredModel[]): Promise<void> {
    const asked = new Set(this.#host.signaturesOf(project).flatMap(referencesOf));
    const personal = await this.personal(project, [...asked]);
    const policies = new Map(models.map(({ name, policy }) => [name, policy.log]));
    await this.#host.updateLogRules(project, (description) => {
      const references = referencesOf(description.signature);
      // A version that came meanwhile was not asked for.
      const isAnswered = personal !== undefined && references.every((reference) => asked.has(reference));
      return {
        log: policies.get(description.model) ?? description.log,
        personal: isAnswered ? references.filter((reference) => personal.includes(reference)) : description.personal,
      };
    });
  }

  /** undefined = the feature store does not say. */
  async personal(project: string, references: readonly string[]): Promise<readonly string[] | undefined> {
    try {
      return await this.#features.personal(project, references);
    } catch (error) {
      this.#log.warn('the feature store does not say what is personal; what it has not said before is redacted', {
        project,
        error: messageOf(error),
      });
      return undefined;
    }
  }
}
