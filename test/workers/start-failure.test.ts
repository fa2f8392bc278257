import { describe, expect, test } from '@jest/globals';
import { DatabaseError } from 'pg';
import { mends } from '../../workers/start-failure.ts';
import { MigrationError, SchemaTooOldError } from '../../workers/store/schema.ts';

const pgError = (code: string) => Object.assign(new DatabaseError('refused', 7, 'error'), { code });
const awsError = (name: string, httpStatusCode: number) =>
  Object.assign(new Error('refused'), { name, $fault: 'client', $metadata: { httpStatusCode } });
const systemError = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

describe('trying again helps', () => {
  test.each([
    ['a server that is starting', pgError('57P03')],
    ['too many connections', pgError('53300')],
    ['a failover', pgError('25006')],
    ['a lock that others hold', pgError('55P03')],
    ['a token that RDS refuses while its logins are busy', pgError('28000')],
    ['throttling', awsError('ThrottlingException', 400)],
    ['a service that fails', awsError('InternalError', 500)],
    ['a service that is busy', awsError('TooManyRequests', 429)],
    ['nobody at the port', systemError('ECONNREFUSED')],
    ['a name that is not known yet', systemError('ENOTFOUND')],
    ['a name server that is away', systemError('EAI_AGAIN')],
    ['a network that is away', systemError('ENETUNREACH')],
    ['an answer that did not come', Object.assign(new Error('slow'), { name: 'TimeoutError' })],
    ['a connection that broke', new Error('Connection terminated unexpectedly')],
    ['a connection that was not made in time', new Error('timeout expired')],
    ['a schema that a deployment is about to bring', new SchemaTooOldError('old')],
    ['a migration whose database went away', new MigrationError('away', { cause: pgError('57P01') })],
    ['credentials that are not there yet', Object.assign(new Error('none'), { name: 'CredentialsProviderError' })],
  ])('against %s', (_, error) => expect(mends(error)).toBe(true));
});

describe('trying again does not help', () => {
  test.each([
    ['a wrong password', pgError('28P01')],
    ['a database that does not exist', pgError('3D000')],
    ['a right that is missing', pgError('42501')],
    ['a migration that is wrong', new MigrationError('wrong', { cause: pgError('42601') })],
    ['a queue that does not exist', awsError('QueueDoesNotExist', 400)],
    ['access denied', awsError('AccessDenied', 403)],
    ['a certificate of an unknown authority', systemError('SELF_SIGNED_CERT_IN_CHAIN')],
    ['a certificate of another host', systemError('ERR_TLS_CERT_ALTNAME_INVALID')],
    ['a server without TLS', new Error('The server does not support SSL connections')],
    ['a region that is missing', new Error('Region is missing')],
    ['what is not even an error', 'no'],
  ])('against %s', (_, error) => expect(mends(error)).toBe(false));
});
