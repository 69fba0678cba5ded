import {
  ExplainValueRequest,
  ExplainValueResponse,
  Lineage,
  SearchFeaturesRequest,
  SearchFeaturesResponse,
} from '@headrace/contracts/features/v1/catalogue';
import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { CatalogueRpc } from './catalogue-rpc.js';
import { requestInvalid } from '../errors.js';
import { parseBody } from './fields.js';

const text = z.string().default('');
const searchQuery = z.object({
  project: text,
  text,
  tag: text,
  owner: text,
  type: text,
  limit: z.coerce.number().int().nonnegative().default(0),
});

/** The catalogue as JSON, for curl. */
@Controller('catalogue')
export class CatalogueHttp {
  constructor(private readonly catalogue: CatalogueRpc) {}

  @Get('features')
  async search(@Query() query: unknown): Promise<unknown> {
    const request: SearchFeaturesRequest = parseBody(searchQuery, query);
    return SearchFeaturesResponse.toJSON(await this.catalogue.searchFeatures(request));
  }

  @Get('lineage')
  async lineage(@Query('project') project = '', @Query('of') of = ''): Promise<unknown> {
    return Lineage.toJSON(await this.catalogue.getLineage({ project, of }));
  }

  /** A body and not a query, so that no entity key ends in the log of a proxy. */
  @Post('explain')
  @HttpCode(200)
  async explain(@Body() body: unknown): Promise<unknown> {
    return ExplainValueResponse.toJSON(await this.catalogue.explainValue(readRequest(body)));
  }
}

function readRequest(body: unknown): ExplainValueRequest {
  if (typeof body !== 'object' || body === null) throw requestInvalid('a JSON object is wanted');
  try {
    return ExplainValueRequest.fromJSON(body);
  } catch (error) {
    throw requestInvalid(`the body is no request to explain a value: ${error instanceof Error ? error.message : String(error)}`);
  }
}
