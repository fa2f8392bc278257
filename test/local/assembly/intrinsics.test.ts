import { describe, expect, test } from '@jest/globals';
import type { AssemblyStack } from '../../../local/assembly/assembly.ts';
import { Intrinsics } from '../../../local/assembly/intrinsics.ts';

function stack(stackName: string, template: Partial<AssemblyStack['template']> = {}): AssemblyStack {
  return {
    stackName,
    template: { Resources: {}, Parameters: {}, Outputs: {}, Mappings: {}, ...template },
    assetPaths: new Map(),
  };
}

const here = stack('here', {
  Resources: { Box: { Type: 'Test::Box', Properties: { Colour: 'red' } }, Cat: { Type: 'Test::Cat', Properties: {} } },
  Parameters: { Image: { Type: 'String', Default: 'al2023' }, Bare: { Type: 'String' } },
});
const there = stack('there', {
  Resources: { Box: { Type: 'Test::Box', Properties: { Colour: 'blue' } } },
  Outputs: { BoxOut: { Value: { Ref: 'Box' }, Export: { Name: { 'Fn::Sub': '${AWS::StackName}:Box' } } } },
});

const intrinsics = new Intrinsics(
  [here, there],
  {
    ref: (type, properties) => (type === 'Test::Box' ? `${String(properties.Colour)} box` : undefined),
    attribute: (type, attribute) => (type === 'Test::Box' && attribute === 'Lid.Size' ? 3 : undefined),
  },
  { accountId: '000000000000', region: 'eu-west-1' },
);

const resolve = (value: unknown) => intrinsics.resolve(value, here);

describe('intrinsics', () => {
  test.each<[string, unknown, unknown]>([
    ['a pseudo parameter', { Ref: 'AWS::Region' }, 'eu-west-1'],
    ['a resource', { Ref: 'Box' }, 'red box'],
    ['a parameter with a default', { Ref: 'Image' }, 'al2023'],
    ['an attribute', { 'Fn::GetAtt': ['Box', 'Lid.Size'] }, 3],
    ['an attribute as one text', { 'Fn::GetAtt': 'Box.Lid.Size' }, 3],
    ['a join', { 'Fn::Join': ['-', ['a', { Ref: 'Box' }, 1]] }, 'a-red box-1'],
    [
      'a substitution',
      { 'Fn::Sub': '${Box} ${Box.Lid.Size} ${AWS::AccountId} ${!HOME}' },
      'red box 3 000000000000 ${HOME}',
    ],
    ['a substitution with a map', { 'Fn::Sub': ['${A}/${Box}', { A: { Ref: 'AWS::Partition' } }] }, 'aws/red box'],
    ['a selection from a split', { 'Fn::Select': [1, { 'Fn::Split': [' ', { Ref: 'Box' }] }] }, 'box'],
    ['zones', { 'Fn::Select': ['0', { 'Fn::GetAZs': '' }] }, 'eu-west-1a'],
    ['an import', { 'Fn::ImportValue': 'there:Box' }, 'blue box'],
    ['an output of a stack', { 'Fn::GetStackOutput': { StackName: 'there', OutputName: 'BoxOut' } }, 'blue box'],
    [
      'what has none',
      { Policy: [{ Effect: 'Allow', Count: 1, None: null }] },
      { Policy: [{ Effect: 'Allow', Count: 1, None: null }] },
    ],
  ])('resolves %s', (_, value, expected) => {
    expect(resolve(value)).toEqual(expected);
  });

  test.each<[string, unknown, RegExp]>([
    ['an intrinsic', { 'Fn::Cidr': ['10.0.0.0/16', 2, 8] }, /here uses the intrinsic Fn::Cidr/],
    ['a resource', { Ref: 'Dog' }, /here uses Ref Dog/],
    ['a resource whose address nobody gave', { Ref: 'Cat' }, /Ref Cat \(Test::Cat\)/],
    ['a parameter without a default', { Ref: 'Bare' }, /Ref Bare/],
    ['an attribute', { 'Fn::GetAtt': ['Box', 'Weight'] }, /Fn::GetAtt Box\.Weight \(Test::Box\)/],
    ['an export', { 'Fn::ImportValue': 'nowhere' }, /the export nowhere/],
    ['an output', { 'Fn::GetStackOutput': { StackName: 'there', OutputName: 'None' } }, /the output None of there/],
  ])('fails on %s that it does not know, and names it', (_, value, sentence) => {
    expect(() => resolve({ deep: [value] })).toThrow(sentence);
  });

  test('fails on a value that refers to itself', () => {
    const loop = stack('loop', { Outputs: { A: { Value: { 'Fn::ImportValue': 'a' }, Export: { Name: 'a' } } } });
    const looping = new Intrinsics(
      [loop],
      { ref: () => undefined, attribute: () => undefined },
      { accountId: '', region: '' },
    );
    expect(() => looping.resolve({ 'Fn::ImportValue': 'a' }, loop)).toThrow(/refers to itself/);
  });
});
