/** What SQS and the workers allow a queue, for the construct and for the configuration that feeds it. */

/**
 * A receive may take 26 seconds of its lease, and what is left has room for extensions that hang; a worker refuses less.
 *
 * A worker extends its leases as long as its write lasts, so the write's own budget need not fit in (decision 0023).
 */
export const VISIBILITY_TIMEOUT_MIN_SECONDS = 60;
/** SQS hides a message for at most 12 hours. */
export const VISIBILITY_TIMEOUT_MAX_SECONDS = 43_200;
/** A lease counts from when its receive was sent, and a worker waits so long for the answer. */
export const RECEIVE_DEADLINE_SECONDS = 26;
/**
 * Two receives with others, the third alone, and one more for those who were beside it (decision 0015); a worker refuses
 * less.
 */
export const RECEIVES_MIN = 4;
/** SQS counts no further. */
export const RECEIVES_MAX = 1_000;
/** SQS keeps nothing for longer. */
export const RETENTION_MAX_DAYS = 14;
/** SQS keeps everything for a minute at least. */
export const RETENTION_MIN_SECONDS = 60;
/** SQS holds nothing back for longer than 15 minutes. */
export const DELIVERY_DELAY_MAX_SECONDS = 900;
/** SQS lets no queue take less. */
export const MESSAGE_SIZE_MIN_BYTES = 1_024;
/** SQS takes nothing larger: 1 MiB, attributes included. */
export const MESSAGE_SIZE_MAX_BYTES = 1_048_576;
/** SQS uses a data key for a minute at least, and for a day at most. */
export const DATA_KEY_REUSE_MIN_SECONDS = 60;
export const DATA_KEY_REUSE_MAX_SECONDS = 86_400;
/** The longest that SQS holds a receive open: fewest empty answers, fewest requests. */
export const RECEIVE_WAIT_SECONDS = 20;
/** SQS's limit on a queue name, `.fifo` included. */
export const QUEUE_NAME_MAX_CHARACTERS = 80;
/** SQS's limit on the name of a message group. */
export const MESSAGE_GROUP_ID_MAX_CHARACTERS = 128;

/** SQS takes 50 principals and 8,192 bytes in an access policy; the rest is for whom the queue lets in besides. */
export const PRODUCERS_MAX = 40;
/** SQS takes no more conditions than that in an access policy. */
export const ACCESS_POLICY_CONDITIONS_MAX = 10;

/** As AWS numbers accounts. */
export const ACCOUNT_ID = /^\d{12}$/;
export const ACCOUNT_ID_ALLOWED = '12 digits, such as 111122223333';
/** As AWS Organizations names organizations. */
export const ORGANIZATION_ID = /^o-[a-z0-9]{10,32}$/;
export const ORGANIZATION_ID_ALLOWED = 'o- and 10 to 32 lower-case letters and digits, such as o-a1b2c3d4e5';
