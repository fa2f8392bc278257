/** The two calls of EC2 Auto Scaling that an instance makes for its hooks, on loopback, in the protocol of the service. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { portOf } from '../../../local/machine/ports.ts';
import { afterwards } from '../../local/machine/machine.ts';

export type AutoScalingFate = 'well' | 'hang' | 'answer 500' | 'no action';

/** The parameters of a call, its action among them. */
export type Call = Readonly<Record<string, string>>;

const errorText = (code: string, message: string) =>
  `<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`;

export class FakeAutoScaling {
  fate: AutoScalingFate = 'well';
  readonly calls: Call[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Goes with the test. */
  static async start(): Promise<FakeAutoScaling> {
    const fake = new FakeAutoScaling();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    afterwards(() => fake.stop());
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`;
  }

  of(action: 'CompleteLifecycleAction' | 'RecordLifecycleActionHeartbeat'): Call[] {
    return this.calls.filter(({ Action }) => Action === action);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = Object.fromEntries(new URLSearchParams(await text(request)));
    this.calls.push(call);
    response.setHeader('Content-Type', 'text/xml');
    switch (this.fate) {
      case 'hang':
        return;
      case 'answer 500':
        response.writeHead(500).end(errorText('InternalFailure', 'something is wrong'));
        return;
      case 'no action':
        response
          .writeHead(400)
          .end(errorText('ValidationError', `No active Lifecycle Action found with instance ID ${call.InstanceId}`));
        return;
      case 'well': {
        const { Action: name } = call;
        response.end(
          `<${name}Response xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><${name}Result/><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></${name}Response>`,
        );
      }
    }
  }
}
