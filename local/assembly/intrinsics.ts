/**
 * Resolves CloudFormation's intrinsic functions, the way that CloudFormation would, from what is known here.
 *
 * Holds always: an intrinsic, a resource or an attribute that it does not know is an error that names its
 * place, never an empty value.
 */
import type { AssemblyStack } from './assembly.ts';

/** What stands for the resources of this machine: physical ids and attributes. */
export interface KnownResources {
  /** The value of Ref; undefined when unknown. */
  ref(type: string, properties: Record<string, unknown>, stack: AssemblyStack, logicalId: string): unknown;
  /** The value of Fn::GetAtt; undefined when unknown. */
  attribute(
    type: string,
    attribute: string,
    properties: Record<string, unknown>,
    stack: AssemblyStack,
    logicalId: string,
  ): unknown;
}

export interface PseudoParameters {
  readonly accountId: string;
  readonly region: string;
}

/** Deep enough for every template that CloudFormation accepts, and an end for one that refers to itself. */
const DEPTH_MAX = 64;

type Arguments = { readonly argument: unknown; readonly stack: AssemblyStack; readonly depth: number };

export class Intrinsics {
  readonly #stacks: readonly AssemblyStack[];
  readonly #known: KnownResources;
  readonly #pseudo: PseudoParameters;
  readonly #functions: Readonly<Record<string, (call: Arguments) => unknown>> = {
    Ref: (call) => this.#ref(call),
    'Fn::GetAtt': (call) => this.#getAtt(call),
    'Fn::Join': (call) => this.#join(call),
    'Fn::Sub': (call) => this.#sub(call),
    'Fn::Select': (call) => this.#select(call),
    'Fn::Split': (call) => this.#split(call),
    'Fn::GetAZs': () => ['a', 'b', 'c'].map((zone) => `${this.#pseudo.region}${zone}`),
    'Fn::Base64': (call) => this.#value(call.argument, call.stack, call.depth),
    'Fn::ImportValue': (call) => this.#importValue(call),
    'Fn::GetStackOutput': (call) => this.#getStackOutput(call),
  };

  constructor(stacks: readonly AssemblyStack[], known: KnownResources, pseudo: PseudoParameters) {
    this.#stacks = stacks;
    this.#known = known;
    this.#pseudo = pseudo;
  }

  /** @throws Error naming the intrinsic and the stack where something is unknown. */
  resolve(value: unknown, stack: AssemblyStack): unknown {
    return this.#value(value, stack, 0);
  }

  #value(value: unknown, stack: AssemblyStack, depth: number): unknown {
    if (depth > DEPTH_MAX) throw new Error(`${stack.stackName}: a value refers to itself`);
    if (Array.isArray(value)) return value.map((item) => this.#value(item, stack, depth + 1));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const [first] = entries;
    if (entries.length === 1 && first !== undefined && (first[0] === 'Ref' || first[0].startsWith('Fn::'))) {
      const call = this.#functions[first[0]];
      if (call === undefined) throw unknownHere(stack, `the intrinsic ${first[0]}`);
      return call({ argument: first[1], stack, depth: depth + 1 });
    }
    return Object.fromEntries(entries.map(([key, item]) => [key, this.#value(item, stack, depth + 1)]));
  }

  #ref({ argument, stack }: Arguments): unknown {
    const name = text(argument, stack);
    const pseudo: Record<string, unknown> = {
      'AWS::AccountId': this.#pseudo.accountId,
      'AWS::Region': this.#pseudo.region,
      'AWS::Partition': 'aws',
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::StackName': stack.stackName,
    };
    if (name in pseudo) return pseudo[name];
    const parameter = stack.template.Parameters[name];
    if (parameter?.Default !== undefined) return parameter.Default;
    const resource = stack.template.Resources[name];
    const value = resource === undefined ? undefined : this.#known.ref(resource.Type, resource.Properties, stack, name);
    if (value === undefined)
      throw unknownHere(stack, `Ref ${name}${resource === undefined ? '' : ` (${resource.Type})`}`);
    return value;
  }

  #getAtt({ argument, stack }: Arguments): unknown {
    const [name, attribute] = Array.isArray(argument)
      ? [text(argument[0], stack), text(argument[1], stack)]
      : splitOnce(text(argument, stack), '.');
    const resource = stack.template.Resources[name];
    const value =
      resource === undefined
        ? undefined
        : this.#known.attribute(resource.Type, attribute, resource.Properties, stack, name);
    if (value === undefined) {
      throw unknownHere(stack, `Fn::GetAtt ${name}.${attribute}${resource === undefined ? '' : ` (${resource.Type})`}`);
    }
    return value;
  }

  #join({ argument, stack, depth }: Arguments): string {
    const [separator, parts] = pair(argument, stack, 'Fn::Join');
    return list(this.#value(parts, stack, depth), stack)
      .map((part) => text(part, stack))
      .join(text(separator, stack));
  }

  #sub({ argument, stack, depth }: Arguments): string {
    const [template, map] = Array.isArray(argument) ? argument : [argument, {}];
    const values: Record<string, unknown> = typeof map === 'object' && map !== null ? { ...map } : {};
    return text(template, stack).replaceAll(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
      if (literal === '!') return `\${${name}}`;
      if (name in values) return text(this.#value(values[name], stack, depth), stack);
      const reference = name.includes('.') && !name.startsWith('AWS::') ? { 'Fn::GetAtt': name } : { Ref: name };
      return text(this.#value(reference, stack, depth), stack);
    });
  }

  #select({ argument, stack, depth }: Arguments): unknown {
    const [index, items] = pair(argument, stack, 'Fn::Select');
    const item = list(this.#value(items, stack, depth), stack)[Number(index)];
    if (item === undefined) throw unknownHere(stack, `item ${String(index)} of Fn::Select`);
    return item;
  }

  #split({ argument, stack, depth }: Arguments): string[] {
    const [separator, whole] = pair(argument, stack, 'Fn::Split');
    return text(this.#value(whole, stack, depth), stack).split(text(separator, stack));
  }

  #importValue({ argument, stack, depth }: Arguments): unknown {
    const name = text(this.#value(argument, stack, depth), stack);
    for (const exporting of this.#stacks) {
      for (const output of Object.values(exporting.template.Outputs)) {
        if (output.Export !== undefined && this.#value(output.Export.Name, exporting, depth) === name) {
          return this.#value(output.Value, exporting, depth);
        }
      }
    }
    throw unknownHere(stack, `the export ${name}`);
  }

  #getStackOutput({ argument, stack, depth }: Arguments): unknown {
    const call: { StackName?: unknown; OutputName?: unknown } =
      typeof argument === 'object' && argument !== null ? argument : {};
    const stackName = text(this.#value(call.StackName, stack, depth), stack);
    const outputName = text(call.OutputName, stack);
    const exporting = this.#stacks.find((candidate) => candidate.stackName === stackName);
    const output = exporting?.template.Outputs[outputName];
    if (exporting === undefined || output === undefined)
      throw unknownHere(stack, `the output ${outputName} of ${stackName}`);
    return this.#value(output.Value, exporting, depth);
  }
}

function unknownHere(stack: AssemblyStack, what: string): Error {
  return new Error(
    `${stack.stackName} uses ${what}, which the local run does not know; teach it in local/assembly, or keep it out of what runs here`,
  );
}

function text(value: unknown, stack: AssemblyStack): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new Error(`${stack.stackName}: expected text in an intrinsic, found ${JSON.stringify(value)}`);
}

function list(value: unknown, stack: AssemblyStack): unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${stack.stackName}: expected a list in an intrinsic, found ${JSON.stringify(value)}`);
}

function pair(value: unknown, stack: AssemblyStack, name: string): [unknown, unknown] {
  if (Array.isArray(value) && value.length === 2) return [value[0], value[1]];
  throw new Error(`${stack.stackName}: ${name} takes two arguments, found ${JSON.stringify(value)}`);
}

function splitOnce(whole: string, separator: string): [string, string] {
  const at = whole.indexOf(separator);
  return at < 0 ? [whole, ''] : [whole.slice(0, at), whole.slice(at + separator.length)];
}
