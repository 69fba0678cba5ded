import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Log } from '@headrace/platform/log';
import { migrate, migratePlatform } from '@headrace/platform/postgres/migrate';
import { Postgres } from '@headrace/platform/postgres/postgres';

const FOLDER = new URL('../../migrations/', import.meta.url);

/** Brings the tables up to date before a door opens. */
@Injectable()
export class Schema implements OnModuleInit {
  constructor(
    private readonly postgres: Postgres,
    private readonly log: Log,
  ) {}

  async onModuleInit(): Promise<void> {
    await migratePlatform(this.postgres, this.log);
    await migrate(this.postgres, FOLDER, 'feature-store', this.log);
  }
}
