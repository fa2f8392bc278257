/** What SQS and the workers allow a queue, for the construct and for the configuration that feeds it. */

/** A receive may take 26 seconds of its lease, and what is left has room for extensions that hang; a worker refuses less. */
export const VISIBILITY_TIMEOUT_MIN_SECONDS = 60;
/** SQS hides a message for at most 12 hours. */
export const VISIBILITY_TIMEOUT_MAX_SECONDS = 43_200;
/**
 * Two receives with others, the third alone, and one more for those who were beside it (decision 0015); a worker refuses
 * less.
 */
export const RECEIVES_MIN = 4;
/** SQS counts no further. */
export const RECEIVES_MAX = 1_000;
/** SQS keeps nothing for longer. */
export const RETENTION_MAX_DAYS = 14;
/** SQS takes nothing larger: 1 MiB, attributes included. */
export const MESSAGE_SIZE_MAX_BYTES = 1_048_576;
/** The longest that SQS holds a receive open: fewest empty answers, fewest requests. */
export const RECEIVE_WAIT_SECONDS = 20;
/** SQS's limit on a queue name, `.fifo` included. */
export const QUEUE_NAME_MAX_CHARACTERS = 80;
