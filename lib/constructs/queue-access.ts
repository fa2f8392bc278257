/**
 * Who may send to a queue besides the roles of its own account: written into its access policy and into the policy of
 * its key alike.
 *
 * SQS encrypts in the name of whoever sends: a producer that the queue lets in and the key does not is refused, and a
 * service says so nowhere.
 *
 * Holds always:
 * - a service is let in on behalf of a named source, never on behalf of anybody;
 * - one statement per kind of producer, however many there are of it, because SQS takes ten conditions and no more;
 * - what goes into a key's policy refers to no resource, only to accounts and patterns: a bucket, a topic or a rule may
 *   depend on the key, or on a queue that does, and no circle comes of it (decision 0024).
 */
import { Aws, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { ResourceEnvironment } from 'aws-cdk-lib/interfaces';
import {
  ACCESS_POLICY_CONDITIONS_MAX,
  ACCOUNT_ID,
  ACCOUNT_ID_ALLOWED,
  ORGANIZATION_ID,
  ORGANIZATION_ID_ALLOWED,
  PRODUCERS_MAX,
} from './queue-limits.ts';

/** Services that send to a queue on behalf of a resource. */
export type ProducerService = 's3' | 'sns' | 'events';

/** What a principal with credentials of its own asks of a queue: to find it, to know its limits, to send. */
const SEND = ['sqs:SendMessage', 'sqs:GetQueueUrl', 'sqs:GetQueueAttributes'];
/** SQS makes a data key in the sender's name, and decrypts it once to see that it is whole. No other action is needed. */
const USE_KEY = ['kms:GenerateDataKey', 'kms:Decrypt'];

/** A statement that grows with every producer of its kind. */
interface Shared {
  readonly statement: iam.PolicyStatement;
  readonly sources: Set<string>;
}

export class QueueAccess {
  /** A queue has one access policy, so it has one of these, whoever asks. */
  static readonly #known = new WeakMap<sqs.IQueue, QueueAccess>();
  readonly #queue: sqs.IQueue;
  readonly #shared = new Map<string, Shared>();
  /** The statement that denies what comes without TLS has one. */
  #conditions = 1;

  /** What is known of `queue`, beginning with the first that asks. */
  static of(queue: sqs.IQueue): QueueAccess {
    const known = QueueAccess.#known.get(queue) ?? new QueueAccess(queue);
    QueueAccess.#known.set(queue, known);
    return known;
  }

  private constructor(queue: sqs.IQueue) {
    this.#queue = queue;
  }

  /** Lets in whatever the account allows to send here. */
  admitAccount(accountId: string): void {
    if (!Token.isUnresolved(accountId) && !ACCOUNT_ID.test(accountId)) {
      throw this.#error(`accountId is ${JSON.stringify(accountId)}; allowed: ${ACCOUNT_ID_ALLOWED}`);
    }
    const { statement, isNew } = this.#grown('accounts', accountId, () => allow(SEND, [this.#queue.queueArn]));
    if (!isNew) return;
    statement.addPrincipals(new iam.AccountPrincipal(accountId));
    this.#admitToKey(`account ${accountId}`, new iam.AccountPrincipal(accountId), this.#viaSqs());
  }

  /** Lets in whatever an account of the organization allows to send here; a service on behalf of one is not let in. */
  admitOrganization(organizationId: string): void {
    if (!Token.isUnresolved(organizationId) && !ORGANIZATION_ID.test(organizationId)) {
      throw this.#error(`organizationId is ${JSON.stringify(organizationId)}; allowed: ${ORGANIZATION_ID_ALLOWED}`);
    }
    const { statement, sources, isNew } = this.#grown('organizations', organizationId, () => {
      this.#countConditions(1);
      return allow(SEND, [this.#queue.queueArn], new iam.AnyPrincipal());
    });
    if (!isNew) return;
    statement.addCondition('StringEquals', { 'aws:PrincipalOrgID': [...sources] });
    this.#admitToKey(`organization ${organizationId}`, new iam.AnyPrincipal(), {
      StringEquals: { ...this.#viaSqs().StringEquals, 'aws:PrincipalOrgID': organizationId },
    });
  }

  /**
   * Lets in a service on behalf of the resource `sourceArn`, and of no other.
   *
   * @returns false when it was let in already.
   */
  admitService(service: ProducerService, sourceArn: string, { account, region }: ResourceEnvironment): boolean {
    const principal = new iam.ServicePrincipal(`${service}.amazonaws.com`);
    // The name of a bucket that was deleted is free for anybody, and its ARN names no account.
    const isAccountApart = service === 's3';
    const group = isAccountApart ? `${service} of ${account}` : service;
    const { statement, sources, isNew } = this.#grown(group, sourceArn, () => {
      this.#countConditions(isAccountApart ? 2 : 1);
      const created = allow(['sqs:SendMessage'], [this.#queue.queueArn], principal);
      if (isAccountApart) created.addCondition('StringEquals', { 'aws:SourceAccount': account });
      return created;
    });
    if (!isNew) return false;
    statement.addCondition('ArnEquals', { 'aws:SourceArn': [...sources] });
    this.#admitToKey(`${service}.amazonaws.com`, principal, keyCondition(service, account, region));
    return true;
  }

  /** The access policy, for what must not send before it is there. */
  get policy(): sqs.QueuePolicy | undefined {
    return this.#queue.node.findAll().find((construct) => construct instanceof sqs.QueuePolicy);
  }

  /** The statement of a kind of producer, with one more. */
  #grown(group: string, source: string, create: () => iam.PolicyStatement): Shared & { readonly isNew: boolean } {
    const shared = this.#shared.get(group) ?? { statement: create(), sources: new Set<string>() };
    const isNew = !shared.sources.has(source);
    if (isNew) this.#countProducers();
    shared.sources.add(source);
    if (!this.#shared.has(group)) {
      this.#shared.set(group, shared);
      if (!this.#queue.addToResourcePolicy(shared.statement).statementAdded) {
        throw this.#error(
          'the queue was imported, so its access policy cannot be written; allowed: a queue of this app',
        );
      }
    }
    return { ...shared, isNew };
  }

  #admitToKey(producer: string, principal: iam.IPrincipal, conditions: Record<string, Record<string, string>>): void {
    if (this.#queue.encryptionType === sqs.QueueEncryption.KMS_MANAGED) {
      throw this.#error(
        `encryptionMasterKey is the key that AWS manages, whose policy lets in no ${producer}; allowed: a key of this app`,
      );
    }
    const key = this.#queue.encryptionMasterKey;
    if (key === undefined) return;
    // In a key's policy * is that key and nothing else.
    const statement = allow(USE_KEY, ['*'], principal);
    statement.addConditions(conditions);
    if (!key.addToResourcePolicy(statement, true).statementAdded) {
      throw this.#error(
        `encryptionKey is ${key.node.path}, which was imported, so its policy cannot let in ${producer}; allowed: a key of this app`,
      );
    }
  }

  /** Principals with credentials of their own come to the key through SQS alone, not to encrypt for themselves. */
  #viaSqs(): { readonly StringEquals: Record<string, string> } {
    return { StringEquals: { 'kms:ViaService': `sqs.${Stack.of(this.#queue).region}.amazonaws.com` } };
  }

  #countProducers(): void {
    const producers = [...this.#shared.values()].reduce((total, { sources }) => total + sources.size, 1);
    if (producers > PRODUCERS_MAX) {
      throw this.#error(
        `${producers} producers are accepted; allowed: at most ${PRODUCERS_MAX}, because SQS takes no longer access policy. Accept an organization in place of its accounts`,
      );
    }
  }

  #countConditions(added: number): void {
    this.#conditions += added;
    if (this.#conditions > ACCESS_POLICY_CONDITIONS_MAX) {
      throw this.#error(
        `the access policy has ${this.#conditions} conditions; allowed: at most ${ACCESS_POLICY_CONDITIONS_MAX}, two for every account that buckets are accepted from`,
      );
    }
  }

  #error(problem: string): Error {
    return new Error(`${this.#queue.node.path}: ${problem}`);
  }
}

function allow(actions: readonly string[], resources: string[], principal?: iam.IPrincipal): iam.PolicyStatement {
  const principals = principal === undefined ? [] : [principal];
  return new iam.PolicyStatement({ actions: [...actions], resources, principals });
}

/** As narrow as can be said without naming the source itself, and with what each service is known to hand to KMS. */
function keyCondition(
  service: ProducerService,
  account: string,
  region: string,
): Record<string, Record<string, string>> {
  if (service !== 'sns') return { StringEquals: { 'aws:SourceAccount': account } };
  return { ArnLike: { 'aws:SourceArn': `arn:${Aws.PARTITION}:sns:${region}:${account}:*` } };
}
