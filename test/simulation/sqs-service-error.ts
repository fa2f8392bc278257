/** What SQS answers with when it refuses a call as a whole, or fails: a code and an HTTP status; 0 where none was heard. */
export class ServiceError extends Error {
  readonly status: number;

  constructor(name: string, status: number) {
    super(name);
    this.name = name;
    this.status = status;
  }
}
