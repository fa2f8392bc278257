import { describe, expect, test } from '@jest/globals';
import { Admission } from '../../../workers/runtime/admission.ts';

/** Room for 30 messages and 2,500 bytes; a receive can bring ten messages of 100 bytes. */
const small = () => new Admission(100, { messages: 30, bytes: 2_500 });

describe('admission', () => {
  test('lets a receive out only when everything that it can bring has a place', () => {
    const admission = small();
    admission.reserve();
    admission.reserve();
    // Places for ten more messages, but not for 1,000 bytes.
    expect([admission.taken, admission.hasRoom]).toEqual([20, false]);
    expect(() => admission.reserve()).toThrow('only when there is room');
  });

  test('gives back at the answer what it did not bring: messages and bytes', () => {
    const admission = small();
    admission.reserve();
    admission.reserve();
    admission.arrived(3, 60);
    expect([admission.taken, admission.hasRoom]).toEqual([13, true]);
    admission.reserve();
    // 1,000 and 1,000 reserved and 60 here: 440 left.
    expect([admission.taken, admission.hasRoom]).toEqual([23, false]);
  });

  test('is whole again when everything has left', () => {
    const admission = small();
    for (let round = 0; round < 1_000; round += 1) {
      admission.reserve();
      admission.arrived(2, 150);
      admission.left(100);
      admission.left(50);
    }
    expect(admission.taken).toBe(0);
    admission.reserve();
    admission.reserve();
    expect(admission.taken).toBe(20);
  });

  test('has no place for a message beyond the last ten, however few bytes they have', () => {
    const admission = new Admission(1, { messages: 25, bytes: 1_000 });
    admission.reserve();
    admission.arrived(10, 10);
    admission.reserve();
    admission.arrived(10, 10);
    expect(admission.hasRoom).toBe(false);
    for (let message = 0; message < 5; message += 1) admission.left(1);
    expect(admission.hasRoom).toBe(true);
  });

  test('takes no place back twice', () => {
    expect(() => small().left(0)).toThrow('a place is given back once');
    const admission = small();
    admission.reserve();
    admission.arrived(1, 10);
    expect(() => admission.left(11)).toThrow('bytes are given back once');
  });

  test('of the size that a worker has takes 400 messages, or what sixteen receives of 1 MiB messages can bring', () => {
    const receives = (messageBytesMax: number) => {
      const admission = new Admission(messageBytesMax);
      let reserved = 0;
      for (; admission.hasRoom; reserved += 1) admission.reserve();
      return reserved;
    };
    expect(receives(1_024)).toBe(40);
    expect(receives(1_048_576)).toBe(16);
    expect(() => new Admission(17 * 1_048_576)).toThrow('one receive must fit');
  });
});
