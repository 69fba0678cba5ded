import { DESCRIPTOR_SET_BASE64 } from '@headrace/contracts/descriptor-set';
import {
  ServerReflectionDefinition,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from '@headrace/contracts/grpc/reflection/v1/reflection';
import { status as Status } from '@grpc/grpc-js';
import { bindGrpc, type GrpcService } from './definition.js';
import { lengthDelimited, textOf } from './proto-fields.js';

/** Server reflection from the committed descriptor set, under both names that clients ask for (v1, v1alpha). */
export function reflectionServices(serviceNames: readonly string[]): GrpcService[] {
  const index = descriptorIndex();
  const implementation = {
    async *serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>): AsyncIterable<ServerReflectionResponse> {
      for await (const request of requests)
        yield { validHost: request.host, originalRequest: request, messageResponse: respond(index, serviceNames, request) };
    },
  };
  const alpha = { ...ServerReflectionDefinition, fullName: 'grpc.reflection.v1alpha.ServerReflection' };
  return [bindGrpc(ServerReflectionDefinition, implementation), bindGrpc(alpha, implementation)];
}

type Answer = ServerReflectionResponse['messageResponse'];

function respond(index: DescriptorIndex, serviceNames: readonly string[], request: ServerReflectionRequest): Answer {
  const ask = request.messageRequest;
  switch (ask?.$case) {
    case 'listServices':
      return { $case: 'listServicesResponse', value: { service: serviceNames.map((name) => ({ name })) } };
    case 'fileByFilename':
      return files(index, ask.value);
    case 'fileContainingSymbol':
      return files(index, index.fileOfSymbol.get(ask.value) ?? index.fileOfSymbol.get(ask.value.slice(0, ask.value.lastIndexOf('.'))));
    case 'fileContainingExtension':
    case 'allExtensionNumbersOfType':
      return refusal('there are no extensions here');
    default:
      return { $case: 'errorResponse', value: { errorCode: Status.INVALID_ARGUMENT, errorMessage: 'an empty request' } };
  }
}

/** The file with all that it imports, so that the client needs one question only. */
function files(index: DescriptorIndex, name: string | undefined): Answer {
  if (name === undefined || !index.files.has(name)) return refusal('not found');
  const wanted = new Set<string>();
  const visit = (file: string): void => {
    if (wanted.has(file)) return;
    wanted.add(file);
    index.files.get(file)?.imports.forEach(visit);
  };
  visit(name);
  return {
    $case: 'fileDescriptorResponse',
    value: { fileDescriptorProto: [...wanted].flatMap((f) => index.files.get(f)?.bytes ?? []).map((b) => Buffer.from(b)) },
  };
}

function refusal(errorMessage: string): Answer {
  return { $case: 'errorResponse', value: { errorCode: Status.NOT_FOUND, errorMessage } };
}

interface DescriptorIndex {
  readonly files: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly imports: readonly string[] }>;
  /** Message, enum or service name -> file. */
  readonly fileOfSymbol: ReadonlyMap<string, string>;
}

// FileDescriptorSet { repeated FileDescriptorProto file = 1; }
// FileDescriptorProto { name = 1; package = 2; dependency = 3; message_type = 4; enum_type = 5; service = 6; }  each type { name = 1; }
function descriptorIndex(): DescriptorIndex {
  const files = new Map<string, { bytes: Uint8Array; imports: string[] }>();
  const fileOfSymbol = new Map<string, string>();
  for (const { bytes } of lengthDelimited(Buffer.from(DESCRIPTOR_SET_BASE64, 'base64'))) {
    const parts = lengthDelimited(bytes);
    const texts = (number: number): string[] => parts.filter((p) => p.number === number).map((p) => Buffer.from(p.bytes).toString('utf8'));
    const [name = '', packageName = ''] = [texts(1)[0], texts(2)[0]];
    files.set(name, { bytes, imports: texts(3) });
    for (const part of parts.filter((p) => p.number >= 4 && p.number <= 6)) {
      fileOfSymbol.set(`${packageName}.${textOf(lengthDelimited(part.bytes), 1)}`, name);
    }
  }
  return { files, fileOfSymbol };
}
