import type { Clock } from '@headrace/base/clock';
import { CLOCK } from '@headrace/platform/platform-module';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config.js';
import { Telemetry } from '../telemetry.js';

/** What nearly every use case needs beside its own story. */
@Injectable()
export class Surroundings {
  constructor(
    readonly telemetry: Telemetry,
    @Inject(CLOCK) readonly clock: Clock,
    @Inject(CONFIG) readonly config: Config,
  ) {}
}
