/** Where in the templates of prod the defects go. */
export const WORKER = 'compute/OrdersFleetLaunchTemplate';
export const GROUP = 'compute/OrdersFleetGroupASG';
export const RIGHTS = 'compute/OrdersFleetRoleDefaultPolicy';
export const BUNDLE_RIGHT = 'compute/OrdersFleetBundleRight';
export const DATABASE = 'data/StoreInstance';
export const DATA = ['LaunchTemplateData'] as const;

/** Of an export of the messaging stack, as it stands in the templates. */
export const exported = (name: RegExp) => (templates: string) => name.exec(templates)![0];
export const queueName = (queue: string) => new RegExp(`ExportsOutputFnGetAtt${queue}Queue[0-9A-F]{8}QueueName\\w+`);
export const queueUrl = (queue: string) => new RegExp(`ExportsOutputRef${queue}Queue[0-9A-F]{16}`);
export const queueArn = (queue: string) => new RegExp(`ExportsOutputFnGetAtt${queue}Queue[0-9A-F]{8}Arn\\w+`);
